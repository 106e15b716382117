// The guest program for x86-64, in long mode. See program.rs for what it does.
//
// rdi  address of the mailbox           rsi  address of the doorbell
// +0   address of the access            +8   operation: 0-3 load, 4-7 store, 8 fill, 9 call, 10 again
// +16  value                            +24  count of qwords to fill
// +32  enough, if not 0                 +48  rounds that kept the value, +56 that read ones, +64 others
// r8   address of the counts            r9   address of the APIC's end of interrupt register
// r10  address of what handlers do, 32 bytes for each number:
// +0   how many interrupts until then   +8   the same from then on; 0 where there is nothing to do
// +16  the address of a dword           +24  the bits of it that are meant, and what is stored there
//
// Plain moves only: where KVM itself is software, every instruction is emulated.

    .pushsection .rodata.cxl_sim_guest_program, "a"
    .globl cxl_sim_guest_program
    .globl cxl_sim_guest_program_end
cxl_sim_guest_program:
    // The two large pages that show the target were changed: forget how they were.
    mov rax, cr3
    mov cr3, rax
    mov rbx, [rdi]
    mov rcx, [rdi + 8]
    mov rdx, [rdi + 16]
    cmp rcx, 0
    je 20f
    cmp rcx, 1
    je 21f
    cmp rcx, 2
    je 22f
    cmp rcx, 3
    je 23f
    cmp rcx, 4
    je 24f
    cmp rcx, 5
    je 25f
    cmp rcx, 6
    je 26f
    cmp rcx, 7
    je 27f
    cmp rcx, 8
    je 28f
    cmp rcx, 9
    je 31f
    cmp rcx, 10
    je 32f
    // No such operation: stop in a way that is noticed. No exception has a handler.
    ud2
20: mov al, [rbx]
    mov [rdi + 16], al
    jmp 30f
21: mov ax, [rbx]
    mov [rdi + 16], ax
    jmp 30f
22: mov eax, [rbx]
    mov [rdi + 16], eax
    jmp 30f
23: mov rax, [rbx]
    mov [rdi + 16], rax
    jmp 30f
24: mov [rbx], dl
    jmp 30f
25: mov [rbx], dx
    jmp 30f
26: mov [rbx], edx
    jmp 30f
27: mov [rbx], rdx
    jmp 30f
28: mov rcx, [rdi + 24]
29: mov [rbx], rdx
    add rbx, 8
    sub rcx, 1
    jne 29b
    jmp 30f
    // Which count it is depends on what is loaded. All of it is in RAM, where it can be looked at.
32: mov [rbx], rdx
    mov rax, [rbx]
    mov rcx, 48
    cmp rax, rdx
    je 33f
    mov rcx, 56
    cmp rax, -1
    je 33f
    mov rcx, 64
33: add rcx, rdi
    mov rax, [rcx]
    add rax, 1
    mov [rcx], rax
    mov rax, [rdi + 32]
    cmp rax, 0
    je 32b
    jmp 30f
    // What is called may change rax and no other register.
31: call rbx
    mov [rdi + 16], rax
30: mov dword ptr [rsi], 1
    jmp cxl_sim_guest_program

    // What all handlers share: the number is on the stack. Count it, tell the APIC, and go on as if nothing were. One
    // that has something to do asks first whether it is meant, and counts nothing where it is not.
40: push rax
    push rbx
    mov rax, [rsp + 16]
    add rax, rax
    add rax, rax
    add rax, rax
    add rax, rax
    add rax, rax
    mov rbx, [r10 + rax + 8]
    cmp rbx, 0
    je 42f
    push rcx
    mov rbx, [r10 + rax + 16]
    mov ecx, [rbx]
    and rcx, [r10 + rax + 24]
    cmp rcx, 0
    je 44f
    mov rbx, [r10 + rax]
    sub rbx, 1
    mov [r10 + rax], rbx
    cmp rbx, 0
    jne 41f
    mov rbx, [r10 + rax + 8]
    mov [r10 + rax], rbx
    mov rbx, [r10 + rax + 16]
    mov rcx, [r10 + rax + 24]
    mov [rbx], ecx
41: pop rcx
42: mov rax, [rsp + 16]
    mov rbx, [r8 + 8 * rax]
    add rbx, 1
    mov [r8 + 8 * rax], rbx
43: mov dword ptr [r9], 0
    pop rbx
    pop rax
    add rsp, 8
    iretq
44: pop rcx
    jmp 43b

    // A handler for each interrupt from 32 to 255, 16 bytes apart: push the number as a dword, and jump.
    .globl cxl_sim_guest_handlers
    .balign 16
cxl_sim_guest_handlers:
    .set cxl_sim_number, 32
    .rept 224
    .byte 0x68
    .long cxl_sim_number
    jmp 40b
    .balign 16
    .set cxl_sim_number, cxl_sim_number + 1
    .endr
cxl_sim_guest_program_end:
    .popsection
