import fc from 'fast-check';

/** Draws random values, which fast-check shrinks when a property fails. */
export interface Draw {
  /** An integer from 0 to `max`. */
  nat(max: number): number;
  /** True in one of `count` cases. */
  oneIn(count: number): boolean;
  pick<Item>(...items: readonly [Item, ...Item[]]): Item;
  pickFrom<Item>(items: readonly Item[]): Item;
  text(maxLength: number): string;
}

/** Creates an arbitrary of the source of all random values of a run. */
export const draws = (): fc.Arbitrary<Draw> =>
  // The number advances the generator, which `gen` does not: the sources in an array would be equal.
  fc.tuple(fc.nat(), fc.gen()).map(([, generate]) => createDraw(generate));

function createDraw(generate: fc.GeneratorValue): Draw & fc.WithToStringMethod {
  // Only numbers are drawn: `gen` compares the arguments of its arbitraries in depth, which the types of a schema defy.
  const nat = (max: number): number => generate(fc.nat, max);
  const pickFrom = <Item>(items: readonly Item[]): Item => {
    if (items.length === 0) throw new Error('There is nothing to pick from.');
    return items[nat(items.length - 1)] as Item;
  };
  return {
    // Printed when a property fails.
    [fc.toStringMethod]: () => fc.stringify(generate.values()),
    nat,
    oneIn: (count) => nat(count - 1) === count - 1,
    pick: (...items) => pickFrom(items),
    pickFrom,
    text: (maxLength) => generate(fc.string, { unit: 'grapheme', maxLength }),
  };
}

const FRAGMENTS = [
  '',
  '{',
  '}',
  '(',
  ')',
  '[',
  ']',
  '"',
  '"""',
  '\\',
  '...',
  '@skip(if: $x)',
  '$',
  ':',
  ',',
  '!',
  '#',
  '\r\n',
  '\u0000',
  '\ud800',
  'é',
  'null',
  '1e9',
  '__schema',
  '__proto__',
];

/** Changes a text in up to three positions, so that it is nearly valid. */
export function drawEdited(draw: Draw, text: string): string {
  let edited = text;
  for (let count = 1 + draw.nat(2); count > 0; count -= 1) {
    const index = draw.nat(edited.length);
    edited = edited.slice(0, index) + draw.pickFrom(FRAGMENTS) + edited.slice(index + draw.nat(6));
  }
  return edited;
}
