/*
 * The image: empty room while it is made, which costs no byte of the file; then what was made, at the same address, since the linker is
 * told one. Alignment is a page of the largest size that arm64 kernels have.
 */
#ifdef IMAGE
    .section .image, "aw", %progbits
#else
    .section .image, "aw", %nobits
#endif
    .balign 65536
    .globl image_start
image_start:
#ifdef IMAGE
    .incbin IMAGE
#else
    .space 16 << 20
#endif
    .globl image_end
image_end:
    .section .note.GNU-stack, "", %progbits
