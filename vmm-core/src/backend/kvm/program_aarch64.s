// The guest program for aarch64, at EL1 with the MMU on. See program.rs for what it does.
//
// x0   address of the mailbox           x1   address of the doorbell
// +0   address of the access            +8   operation: 0-3 load, 4-7 store, 8 fill, 9 call, 10 again
// +16  value                            +24  count of qwords to fill
// +32  enough, if not 0                 +48  rounds that kept the value, +56 that read ones, +64 others

    .pushsection .rodata.cxl_sim_guest_program, "a"
    .globl cxl_sim_guest_program
    .globl cxl_sim_guest_program_end
    .balign 8
cxl_sim_guest_program:
    // The two blocks that show the target were changed: forget how they were.
    dsb ishst
    tlbi vmalle1
    dsb ish
    isb
    ldr x2, [x0]
    ldr x3, [x0, #8]
    ldr x4, [x0, #16]
    cmp x3, #0
    b.eq 20f
    cmp x3, #1
    b.eq 21f
    cmp x3, #2
    b.eq 22f
    cmp x3, #3
    b.eq 23f
    cmp x3, #4
    b.eq 24f
    cmp x3, #5
    b.eq 25f
    cmp x3, #6
    b.eq 26f
    cmp x3, #7
    b.eq 27f
    cmp x3, #8
    b.eq 28f
    cmp x3, #9
    b.eq 32f
    cmp x3, #10
    b.eq 33f
    // No such operation: stop in a way that is noticed.
    brk #0
20: ldrb w5, [x2]
    b 31f
21: ldrh w5, [x2]
    b 31f
22: ldr w5, [x2]
    b 31f
23: ldr x5, [x2]
    b 31f
24: strb w4, [x2]
    b 30f
25: strh w4, [x2]
    b 30f
26: str w4, [x2]
    b 30f
27: str x4, [x2]
    b 30f
28: ldr x5, [x0, #24]
29: str x4, [x2], #8
    subs x5, x5, #1
    b.ne 29b
    b 30f
    // Which count it is depends on what is loaded. All of it is in RAM, where it can be looked at.
33: str x4, [x2]
    ldr x5, [x2]
    mov x6, #48
    cmp x5, x4
    b.eq 34f
    mov x6, #56
    cmn x5, #1
    b.eq 34f
    mov x6, #64
34: ldr x7, [x0, x6]
    add x7, x7, #1
    str x7, [x0, x6]
    ldr x7, [x0, #32]
    cbz x7, 33b
    b 30f
    // What is called may change x5 and no other register. It may have been stored just now.
32: ic iallu
    dsb nsh
    isb
    blr x2
31: str x5, [x0, #16]
30: dsb sy
    mov w5, #1
    str w5, [x1]
    b cxl_sim_guest_program
cxl_sim_guest_program_end:
    .popsection
