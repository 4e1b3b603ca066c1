import "../examples.test.ts" // in the VM: the pages of all plugins that need Debian's kernel
