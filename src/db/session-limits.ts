/**
 * Limits of a session, enforced by the server: what a node no longer waits for ends, also when the node is frozen or gone.
 * The network settings detect a host that vanished without closing its connections.
 */
export const SESSION_LIMITS = {
  lock_timeout: '5s',
  statement_timeout: '20s',
  idle_in_transaction_session_timeout: '10s',
  client_connection_check_interval: '5s',
  tcp_keepalives_idle: '15s',
  tcp_keepalives_interval: '5s',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '30s',
};

export type SessionLimits = typeof SESSION_LIMITS;
