/** The release this executable is of: package.json's version. */
export const release = "0.1.0"

/** The version of the Go plugins that this executable stands in for. */
export const reference = "1.9.1"
