// fcntl.h; the same on x86-64 and arm64 unless said
export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_APPEND = 0o2000
export const O_NONBLOCK = 0o4000
export const O_NOFOLLOW = process.arch === "arm64" ? 0o100000 : 0o400000
export const O_CLOEXEC = 0o2000000
