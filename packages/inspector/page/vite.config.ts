import { defineConfig } from "vite"

export default defineConfig({
  // Relative addresses: the page does not know under which prefix it is mounted.
  base: "./",
  build: {
    outDir: "../dist/page",
    emptyOutDir: true,
    // Inlined files would need `data:` and inline styles, which the page's content security policy does not have.
    assetsInlineLimit: 0,
    modulePreload: false
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } }
})
