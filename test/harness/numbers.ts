/** Returns the integers from the first to the last, both included. */
export const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** Returns that many indexes, from 0. */
export const indexes = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
