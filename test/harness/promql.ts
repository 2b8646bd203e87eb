import { parser } from '@prometheus-io/lezer-promql';

/** A selector of series: a name with matchers of labels. */
export interface Selector {
  readonly name: string;
  readonly matchers: readonly Matcher[];
}

interface Matcher {
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

export interface ParsedQuery {
  readonly selectors: readonly Selector[];
  /** Labels by which series are grouped or matched. */
  readonly groupings: readonly string[];
}

/** Parses a query of PromQL. Throws for a syntax error. */
export function parseQuery(query: string): ParsedQuery {
  const text = query.replaceAll('$__rate_interval', '5m');
  const selectors: { name: string; matchers: { label: string; operator: string; value: string }[] }[] = [];
  const groupings: string[] = [];
  let parent = '';
  parser.parse(text).iterate({
    enter({ name, type, from, to }) {
      const found = text.slice(from, to);
      if (type.isError) throw new Error(`Syntax error at ${from}: ${query}`);
      const matcher = selectors.at(-1)?.matchers.at(-1);
      if (name === 'VectorSelector') selectors.push({ name: '', matchers: [] });
      else if (name === 'GroupingLabels') parent = 'grouping';
      else if (name === 'UnquotedLabelMatcher') {
        parent = 'matcher';
        selectors.at(-1)?.matchers.push({ label: '', operator: '', value: '' });
      } else if (name === 'Identifier') Object.assign(selectors.at(-1) ?? {}, { name: found });
      else if (name === 'LabelName' && parent === 'grouping') groupings.push(found);
      else if (matcher !== undefined && name === 'LabelName') matcher.label = found;
      else if (matcher !== undefined && name === 'MatchOp') matcher.operator = found;
      else if (matcher !== undefined && name === 'StringLiteral') matcher.value = JSON.parse(found) as string;
    },
  });
  return { selectors, groupings };
}

/** A series of a scrape. */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Parses the text format of Prometheus. */
export const parseSeries = (text: string): Series[] =>
  [...text.matchAll(/^([a-z]\w*)(?:\{([^}]*)\})? /gim)].map(([, name = '', labels = '']) => ({
    name,
    labels: Object.fromEntries(
      [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', value = '']) => [label, value]),
    ),
  }));

/** Labels that Prometheus adds to each series of a target. */
const TARGET_LABELS = new Set(['job', 'instance']);

export const isTargetLabel = (label: string): boolean => TARGET_LABELS.has(label);

/** Returns whether the selector matches the series. Labels of the target count as matched. */
export const matches = ({ name, matchers }: Selector, series: Series): boolean =>
  series.name === name &&
  matchers.every(({ label, operator, value }) => {
    if (isTargetLabel(label)) return true;
    const actual = series.labels[label] ?? '';
    const isEqual = operator.endsWith('~') ? new RegExp(`^(?:${value})$`).test(actual) : actual === value;
    return operator.startsWith('!') ? !isEqual : isEqual;
  });
