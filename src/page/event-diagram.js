const TRACE_MS = 700;

/** Controls the diagram at the top: lists the newest events and animates each message between the two clients. */
export function createDiagram() {
  const lines = [...document.querySelectorAll('#log-lines text')];
  const events = [];
  const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');
  return {
    /** Adds an event. `sender` is `legacy`, `graphql`, or empty when unknown. */
    addEvent(name, sender = '') {
      events.push({ name, sender });
      if (events.length > lines.length) events.shift();
      for (const [index, line] of lines.entries()) {
        line.textContent = events[index]?.name ?? '';
        line.setAttribute('class', events[index]?.sender ?? '');
      }
    },
    animateFrom(sender) {
      if (reducedMotion.matches) return;
      const trace = document.getElementById(`trace-${sender}`);
      trace.animate([{ strokeDashoffset: 0.2 }, { strokeDashoffset: -1 }], {
        duration: TRACE_MS,
        easing: 'ease-in-out',
      });
    },
  };
}

/** Measures the delay of a message from Send on one side to its arrival on the other, by its text. */
export function createStopwatch(diagram) {
  const sentAt = new Map();
  return {
    start: (text) => sentAt.set(text, performance.now()),
    /** Returns the delay in milliseconds; undefined when this page did not send the message. */
    stop(side, text) {
      const at = sentAt.get(text);
      if (at === undefined) return undefined;
      sentAt.delete(text);
      diagram.animateFrom(side === 'graphql' ? 'legacy' : 'graphql');
      return Math.max(1, Math.round(performance.now() - at));
    },
  };
}
