#!/usr/bin/env node
// src/main.ts is a symbolic link to this file. Node takes the module format from the real name, and every version of
// Node can run this file: older ones cannot parse TypeScript, and would print a stack trace instead of a hint. The file
// is also valid TypeScript, for checkouts without symbolic links.
{
  const REQUIRED_MAJOR = 24;

  const refuse = (hint = '') => {
    process.stderr.write(`${hint}\n`);
    process.exitCode = 1;
  };

  if (Number.parseInt(process.versions.node, 10) < REQUIRED_MAJOR) {
    refuse(
      `Parley needs Node ${REQUIRED_MAJOR}, and this is Node ${process.versions.node}: install Node ${REQUIRED_MAJOR}, or in a checkout on Linux use npm start, which includes it.`,
    );
  } else {
    import('./program.ts').catch((error) => {
      const [missing] = String(error.message).split(' imported from');
      const isIncomplete =
        error.code === 'ERR_MODULE_NOT_FOUND' && missing?.startsWith('Cannot find package');
      if (!isIncomplete) throw error;
      refuse(`Parley is not installed completely: run npm ci, or npm install. (${missing})`);
    });
  }
}
