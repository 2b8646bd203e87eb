/** The routes that a server may have, by what they are for. */
export const ROUTE_GROUPS = ['graphql', 'socket.io', 'media', 'health', 'operators', 'pages'] as const;
export type RouteGroup = (typeof ROUTE_GROUPS)[number];
