// sys/socket.h: families and types of sockets. SOCK_NONBLOCK is O_NONBLOCK.
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_PACKET = 17
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_NONBLOCK = 0o4000
