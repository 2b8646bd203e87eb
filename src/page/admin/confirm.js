const dialog = document.getElementById('confirm');
const form = dialog.querySelector('form');
const { until, reason, cancel, ok } = form.elements;
const problem = form.querySelector('.problem');

let submit = async () => undefined;

/**
 * Asks before an action, with its effect and a field for the reason. `run` is called with the reason and, for actions that
 * `hasEnd`, the end as an ISO time or null. The dialog stays open with the error when it fails.
 */
export function confirmAction({ title, effect, label, hasEnd = false, needsReason = false, run }) {
  document.getElementById('confirm-title').textContent = title;
  dialog.querySelector('.effect').textContent = effect;
  form.querySelector('.until').hidden = !hasEnd;
  ok.textContent = label;
  form.reset();
  reason.required = needsReason;
  problem.textContent = '';
  submit = () =>
    run({
      reason: reason.value === '' ? null : reason.value,
      until: hasEnd && until.value !== '' ? new Date(until.value).toISOString() : null,
    });
  dialog.showModal();
  reason.focus();
}

cancel.addEventListener('click', () => dialog.close());

async function confirm() {
  ok.disabled = true;
  try {
    await submit();
    dialog.close();
  } catch (error) {
    problem.textContent = error.message;
  } finally {
    ok.disabled = false;
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void confirm();
});
