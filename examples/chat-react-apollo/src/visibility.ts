import { useSyncExternalStore } from 'react';

/** Whether the page is visible: messages on a hidden page are not read. */
export function usePageVisibility(): boolean {
  return useSyncExternalStore(subscribe, () => document.visibilityState === 'visible');
}

function subscribe(listener: () => void): () => void {
  document.addEventListener('visibilitychange', listener);
  return () => document.removeEventListener('visibilitychange', listener);
}
