/** Prints a table line by line: a name, and a number or text for each column. */
export function createTable<Column extends string>(columns: readonly Column[]) {
  const print = (name: string, cells: readonly (string | number)[]): void => {
    const line = cells.map((cell) => ` ${String(cell).padStart(17)}`).join('');
    process.stdout.write(`${name.padEnd(32)}${line}\n`);
  };
  print('', columns);
  return (name: string, row: Readonly<Record<Column, string | number>>): void =>
    print(
      name,
      columns.map((column) => row[column]),
    );
}
