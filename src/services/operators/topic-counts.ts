/** The open subscriptions of a topic, and the Socket.IO clients in its room. */
export interface TopicCount {
  readonly topic: string;
  readonly readers: number;
}

/** A topic that is among the first of the cluster, but not of a node, is counted too low without these. */
const MARGIN = 100;

/** Returns the topics with the most readers, and some more, so that the counts of several nodes can be added. */
export const listForMerge = (counts: ReadonlyMap<string, number>, first: number): readonly TopicCount[] =>
  sortTopics(counts).slice(0, first + MARGIN);

/** Adds the counts of nodes. */
export function mergeTopics(
  ofNodes: readonly (readonly TopicCount[])[],
  first: number,
): readonly TopicCount[] {
  const counts = new Map<string, number>();
  for (const { topic, readers } of ofNodes.flat()) counts.set(topic, (counts.get(topic) ?? 0) + readers);
  return sortTopics(counts).slice(0, first);
}

const sortTopics = (counts: ReadonlyMap<string, number>): TopicCount[] =>
  [...counts]
    .map(([topic, readers]) => ({ topic, readers }))
    .sort((a, b) => b.readers - a.readers || (a.topic < b.topic ? -1 : 1));
