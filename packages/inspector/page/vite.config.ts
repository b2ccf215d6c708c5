import { defineConfig } from "vite"

export default defineConfig({
  // Relative addresses: the page does not know under which prefix it is mounted.
  base: "./",
  build: {
    outDir: "../dist/page",
    emptyOutDir: true,
    // Inlined files would need `data:` and inline styles, which the page's content security policy does not have.
    assetsInlineLimit: 0,
    modulePreload: false,
    // In a script of this form the styles would be inline otherwise.
    cssCodeSplit: false,
    rolldownOptions: { output: { format: "iife" } }
  },
  plugins: [{
    // Browsers send `Origin` for modules, also to their own site. Behind a proxy that changes `Host` they would be refused, and
    // with them the page, which has to say why nobody can sign in.
    name: "no-origin",
    transformIndexHtml: {
      order: "post",
      handler: (html) => html.replace(`type="module"`, "defer").replaceAll(" crossorigin", "")
    }
  }],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } }
})
