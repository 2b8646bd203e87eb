/** Descriptions of pages, in both schemas. */
export const PAGE_OPTIONS = {
  pageInfoTypeOptions: {
    description: 'Information about a page of a connection: https://relay.dev/graphql/connections.htm.',
  },
  hasNextPageFieldOptions: { description: 'Whether more edges follow `endCursor`.' },
  hasPreviousPageFieldOptions: { description: 'Whether more edges precede `startCursor`.' },
  startCursorFieldOptions: { description: 'Cursor of the first edge; null if the page is empty.' },
  endCursorFieldOptions: { description: 'Cursor of the last edge; null if the page is empty.' },
  nodeFieldOptions: { description: 'The node at the end of the edge.' },
  edgesFieldOptions: {
    description: 'The edges of this page: nodes with their cursors.',
    nullable: { list: false, items: false },
  },
  pageInfoFieldOptions: { description: 'Information about this page.' },
  defaultConnectionTypeOptions: { description: 'A page of a connection.' },
  defaultEdgeTypeOptions: { description: 'An edge in a connection.' },
} as const;
