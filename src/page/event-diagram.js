const SPARK_MS = 700;

/** The drawing of two doors and a log: it shows the last events, and each message on its way from door to door. */
export function createSchematic() {
  const lines = [...document.querySelectorAll('#log-lines text')];
  const events = [];
  const calm = matchMedia('(prefers-reduced-motion: reduce)');
  return {
    /** An event that is in the log now, and by which door it came when that is known. */
    event(name, door = '') {
      events.push({ name, door });
      if (events.length > lines.length) events.shift();
      for (const [index, line] of lines.entries()) {
        line.textContent = events[index]?.name ?? '';
        line.setAttribute('class', events[index]?.door ?? '');
      }
    },
    cross(from) {
      if (calm.matches) return;
      const spark = document.getElementById(`spark-${from}`);
      spark.animate([{ strokeDashoffset: 0.2 }, { strokeDashoffset: -1 }], {
        duration: SPARK_MS,
        easing: 'ease-in-out',
      });
    },
  };
}

/** Times a message from the press of Send on one side to its arrival on the other. Both are in this page. */
export function createCrossing(schematic) {
  const sent = new Map();
  return {
    leave: (text) => sent.set(text, performance.now()),
    /** Milliseconds since it left; undefined when it was not sent from this page. */
    arrive(side, text) {
      const at = sent.get(text);
      if (at === undefined) return undefined;
      sent.delete(text);
      schematic.cross(side === 'graphql' ? 'legacy' : 'graphql');
      return Math.max(1, Math.round(performance.now() - at));
    },
  };
}
