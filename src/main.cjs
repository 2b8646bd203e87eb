// src/main.ts is a link to this file. Node reads the format of a program from its real name, and any Node can run this
// one: an older one cannot even parse the others, and would print a stack trace instead of a hint. A copy in the place
// of the link is a valid TypeScript module, too.
{
  const NEEDED_MAJOR = 24;

  const refuse = (hint = '') => {
    process.stderr.write(`${hint}\n`);
    process.exitCode = 1;
  };

  if (Number.parseInt(process.versions.node, 10) < NEEDED_MAJOR) {
    refuse(
      `Parley needs Node ${NEEDED_MAJOR}, and this is Node ${process.versions.node}: use npm start, which brings it along on Linux, or install Node ${NEEDED_MAJOR}.`,
    );
  } else {
    import('./program.ts').catch((error) => {
      const [missing] = String(error.message).split(' imported from');
      const isIncomplete =
        error.code === 'ERR_MODULE_NOT_FOUND' && missing?.startsWith('Cannot find package');
      if (!isIncomplete) throw error;
      refuse(`Parley is not installed completely: run npm ci. (${missing})`);
    });
  }
}
