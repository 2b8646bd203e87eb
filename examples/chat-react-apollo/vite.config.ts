import { defineConfig } from 'vite';

// Linked packages are not bundled by default, and outside the folder they are not served.
export default defineConfig({ optimizeDeps: { include: ['parley/client'] } });
