/** Why the work for a connection is aborted. One for all: the stack of a new one costs as much as all else that a close does. */
export const CONNECTION_CLOSED = new DOMException('The connection has closed.', 'AbortError');
