/** The release this executable is of: package.json's version. */
export const release = "0.1.0"
