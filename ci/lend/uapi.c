/*
 * Walks the kernel's VFIO interface as its headers have it, by the group and by the device's own node, and says each
 * thing that holds in a line. The first that does not ends it.
 *
 * The arguments are the device's address, "type1" or "iommufd", and whether its info has the capability of CXL:
 * "cxl" or "none".
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

/* Nothing below may end without having said why. */
#define MUST(what)                                                                           \
    do {                                                                                     \
        if (!(what)) {                                                                       \
            printf("FAILED line %d: %s (errno %d: %s)\n", __LINE__, #what, errno, strerror(errno)); \
            exit(1);                                                                         \
        }                                                                                    \
    } while (0)

/* A call that must be refused with this error. */
#define REFUSED(error, call)      \
    do {                          \
        errno = 0;                \
        MUST((call) == -1);       \
        MUST(errno == (error));   \
    } while (0)

#define PAGE 0x1000ul
#define UNTOUCHED 0xa5

/* The capability that vfio-cxl has in the chain of a device, and the copy engine in BAR 0 of this project's device. */
#define CXL_CAPABILITY 6
#define ENGINE 0xc000ul
#define TO_DEVICE 0x5u
#define TO_HOST 0x3u
#define WITH_INTERRUPT 0x8u
#define DONE 0x2u
#define UNMAPPED 0x1000u
#define INSIDE 0x12340ul
#define IOVA 0x40000000ul

static const char *address;
static int is_cxl;
static int held;
static __u32 regions;

static void holds(const char *what)
{
    held++;
    printf("ok %s\n", what);
}

/* The region with this index, with room for its chain. */
static struct vfio_region_info *region(int device, __u32 index)
{
    static char room[8][1024];
    static int next;
    struct vfio_region_info *info = (void *)room[next++ % 8];
    memset(info, 0, 1024);
    info->argsz = 1024;
    info->index = index;
    MUST(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, info) == 0);
    return info;
}

static __u64 at(int device, __u32 index, __u64 offset, size_t width)
{
    __u64 value = 0;
    MUST(pread(device, &value, width, region(device, index)->offset + offset) == (ssize_t)width);
    return value;
}

static void put(int device, __u32 index, __u64 offset, size_t width, __u64 value)
{
    MUST(pwrite(device, &value, width, region(device, index)->offset + offset) == (ssize_t)width);
}

/* Whether a chain has this capability. It must end, and lie inside of what was told. */
static int in_chain(const void *info, __u32 argsz, __u32 offset, __u16 id)
{
    int found = 0, count = 0;
    while (offset) {
        const struct vfio_info_cap_header *header = (const void *)((const char *)info + offset);
        MUST(offset % 4 == 0 && offset + sizeof *header <= argsz && ++count < 64);
        found |= header->id == id;
        offset = header->next;
    }
    return found;
}

/* A device is told as there is room for it, and nothing behind that is touched. */
static void device_info(int device)
{
    unsigned char bytes[256];
    struct vfio_device_info *info = (void *)bytes;
    __u32 needed;
    memset(bytes, 0, sizeof bytes);
    info->argsz = sizeof bytes;
    MUST(ioctl(device, VFIO_DEVICE_GET_INFO, info) == 0);
    MUST(info->flags & VFIO_DEVICE_FLAGS_PCI && info->flags & VFIO_DEVICE_FLAGS_RESET);
    MUST(!!(info->flags & VFIO_DEVICE_FLAGS_CAPS) == is_cxl);
    MUST(in_chain(info, sizeof bytes, info->cap_offset, CXL_CAPABILITY) == is_cxl);
    MUST(info->num_regions >= VFIO_PCI_NUM_REGIONS && info->num_irqs == VFIO_PCI_NUM_IRQS);
    regions = info->num_regions;
    memset(bytes, 0, sizeof bytes);
    info->argsz = 24;
    MUST(ioctl(device, VFIO_DEVICE_GET_INFO, info) == 0);
    needed = info->argsz;
    for (__u32 argsz = 0; argsz <= 128; argsz++) {
        memset(bytes, UNTOUCHED, sizeof bytes);
        info->argsz = argsz;
        if (argsz < 16) {
            REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_GET_INFO, info));
        } else {
            MUST(ioctl(device, VFIO_DEVICE_GET_INFO, info) == 0);
            MUST(info->argsz == (argsz < needed && is_cxl ? needed : argsz));
            MUST(argsz < 24 || info->cap_offset == (argsz < needed || !is_cxl ? 0 : 24));
        }
        for (size_t place = argsz < 4 ? 4 : argsz; place < sizeof bytes; place++)
            MUST(bytes[place] == UNTOUCHED);
    }
    holds("device info, argsz from 0 to 128");
}

static void region_infos(int device)
{
    struct vfio_region_info info;
    for (__u32 index = 0; index < regions; index++) {
        if (index == VFIO_PCI_VGA_REGION_INDEX)
            continue;
        struct vfio_region_info *full = region(device, index);
        MUST(in_chain(full, 1024, full->cap_offset, 0xffff) == 0);
        for (__u32 argsz = 0; argsz <= 64; argsz++) {
            memset(&info, 0, sizeof info);
            info.argsz = argsz < 32 ? argsz : 32;
            info.index = index;
            if (argsz < 32) {
                REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info));
                continue;
            }
            MUST(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0);
            MUST(info.size == full->size && info.offset == full->offset && info.flags == full->flags);
            MUST(!(info.flags & VFIO_REGION_INFO_FLAG_CAPS) == (info.argsz == 32));
            MUST(info.argsz == 32 || info.cap_offset == 0);
        }
    }
    memset(&info, 0, sizeof info);
    info.argsz = sizeof info;
    info.index = VFIO_PCI_VGA_REGION_INDEX;
    REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info));
    info.index = regions;
    REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info));
    REFUSED(ENOTTY, ioctl(device, _IO(VFIO_TYPE, VFIO_BASE + 99), &info));
    REFUSED(EFAULT, ioctl(device, VFIO_DEVICE_GET_REGION_INFO, 0));
    holds("region infos, bad indices and unknown calls");
}

static __u64 from_sysfs(const char *name)
{
    char path[256], text[32] = "";
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/%s", address, name);
    int file = open(path, O_RDONLY);
    MUST(file >= 0 && read(file, text, sizeof text - 1) > 0);
    close(file);
    return strtoull(text, NULL, 0);
}

/* Configuration space, BARs and device memory at every width, and what cannot be read. */
static void accesses(int device)
{
    const __u32 config = VFIO_PCI_CONFIG_REGION_INDEX;
    unsigned char whole[64];
    MUST(at(device, config, 0, 2) == from_sysfs("vendor") && at(device, config, 2, 2) == from_sysfs("device"));
    MUST(pread(device, whole, sizeof whole, region(device, config)->offset) == sizeof whole);
    for (size_t width = 1; width <= 4; width *= 2)
        for (size_t offset = 0; offset < sizeof whole; offset += width) {
            __u64 value = at(device, config, offset, width);
            MUST(memcmp(&value, whole + offset, width) == 0);
        }
    put(device, config, 4, 2, 0x6);
    MUST((at(device, config, 4, 2) & 0x6) == 0x6);
    for (size_t width = 1; width <= 8; width *= 2) {
        put(device, 0, ENGINE, 8, 0);
        put(device, 0, ENGINE, width, 0x1122334455667788ul);
        MUST(at(device, 0, ENGINE, 8) == (0x1122334455667788ul & (~0ul >> (64 - 8 * width))));
    }
    REFUSED(EINVAL, pread(device, whole, 4, region(device, 0)->offset + region(device, 0)->size));
    REFUSED(EINVAL, pread(device, whole, 4, (__u64)regions << 40));
    REFUSED(EFAULT, pread(device, (void *)PAGE, 4, region(device, config)->offset));
    REFUSED(ESPIPE, lseek(device, 0, SEEK_SET));
    struct iovec parts[2] = { { whole, 2 }, { whole + 2, 2 } };
    MUST(preadv(device, parts, 2, region(device, config)->offset) == 4);
    MUST(at(device, config, 2, 2) == (__u64)(whole[2] | whole[3] << 8));
    holds("reads and writes at every width");
}

/* What may be mapped is the same memory as what is read; what may not be is refused. */
static void mappings(int device)
{
    int mapped = 0;
    for (__u32 index = 0; index < regions; index++) {
        if (index == VFIO_PCI_VGA_REGION_INDEX)
            continue;
        struct vfio_region_info *info = region(device, index);
        int both = PROT_READ | PROT_WRITE;
        if (!info->size)
            continue;
        if (!(info->flags & VFIO_REGION_INFO_FLAG_MMAP)) {
            REFUSED(EINVAL, mmap(NULL, PAGE, both, MAP_SHARED, device, info->offset) == MAP_FAILED ? -1 : 0);
            continue;
        }
        REFUSED(EINVAL, mmap(NULL, PAGE, both, MAP_PRIVATE, device, info->offset) == MAP_FAILED ? -1 : 0);
        int sparse = in_chain(info, 1024, info->cap_offset, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
        void *all = mmap(NULL, info->size, both, MAP_SHARED, device, info->offset);
        /* Across the component block there is no mapping. */
        MUST((all == MAP_FAILED) == sparse);
        volatile __u32 *page = mmap(NULL, PAGE, both, MAP_SHARED, device, info->offset);
        MUST(page != MAP_FAILED);
        page[4] = 0xc0de0000 + index;
        MUST(at(device, index, 16, 4) == 0xc0de0000 + index);
        put(device, index, 16, 4, 0x5eed0000 + index);
        MUST(page[4] == 0x5eed0000 + index);
        MUST(all == MAP_FAILED || ((__u32 *)all)[4] == 0x5eed0000 + index);
        munmap((void *)page, PAGE);
        if (all != MAP_FAILED)
            munmap(all, info->size);
        mapped++;
    }
    MUST(mapped > 0);
    holds("mappings");
}

static void interrupts(int device)
{
    char bytes[sizeof(struct vfio_irq_set) + 8];
    struct vfio_irq_set *set = (void *)bytes;
    int events[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
    eventfd_t count;
    for (__u32 index = 0; index <= VFIO_PCI_NUM_IRQS; index++) {
        struct vfio_irq_info info = { .argsz = sizeof info, .index = index };
        if (index == VFIO_PCI_NUM_IRQS)
            REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info));
        else
            MUST(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info) == 0);
        MUST(index != VFIO_PCI_MSIX_IRQ_INDEX || (info.count >= 2 && info.flags & VFIO_IRQ_INFO_EVENTFD));
    }
    *set = (struct vfio_irq_set){ .argsz = sizeof bytes, .index = VFIO_PCI_MSIX_IRQ_INDEX, .count = 2 };
    set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    memcpy(set->data, events, sizeof events);
    for (set->argsz = 0; set->argsz < sizeof bytes; set->argsz++)
        REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_SET_IRQS, set));
    set->start = 0xffff;
    REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_SET_IRQS, set));
    set->start = 0;
    set->flags |= 1 << 20;
    REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_SET_IRQS, set));
    set->flags &= ~(1 << 20);
    MUST(ioctl(device, VFIO_DEVICE_SET_IRQS, set) == 0);
    set->flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
    set->count = 1;
    MUST(ioctl(device, VFIO_DEVICE_SET_IRQS, set) == 0);
    MUST(eventfd_read(events[0], &count) == 0 && count == 1);
    REFUSED(EAGAIN, eventfd_read(events[1], &count));
    /* The engine's own: vector 1, at the end of a copy that is refused. */
    put(device, 0, ENGINE + 0x10, 4, 0);
    put(device, 0, ENGINE + 0x14, 4, TO_DEVICE | WITH_INTERRUPT | 1 << 16);
    MUST(eventfd_read(events[1], &count) == 0 && count == 1);
    set->count = 0;
    MUST(ioctl(device, VFIO_DEVICE_SET_IRQS, set) == 0);
    close(events[0]);
    close(events[1]);
    holds("interrupts");
}

/* An event stands for a write. */
static void event_writes(int device)
{
    struct vfio_device_ioeventfd event = { .argsz = sizeof event, .flags = VFIO_DEVICE_IOEVENTFD_32 };
    event.offset = region(device, 0)->offset + ENGINE;
    event.data = 0xfeed;
    event.fd = eventfd(0, 0);
    put(device, 0, ENGINE, 8, 0);
    MUST(ioctl(device, VFIO_DEVICE_IOEVENTFD, &event) == 0);
    REFUSED(EEXIST, ioctl(device, VFIO_DEVICE_IOEVENTFD, &event));
    MUST(eventfd_write(event.fd, 1) == 0);
    while (at(device, 0, ENGINE, 4) != 0xfeed)
        ;
    close(event.fd);
    event.fd = -1;
    MUST(ioctl(device, VFIO_DEVICE_IOEVENTFD, &event) == 0);
    REFUSED(ENODEV, ioctl(device, VFIO_DEVICE_IOEVENTFD, &event));
    holds("an event stands for a write");
}

static void resets_and_features(int device, int by_group)
{
    char bytes[64] = { 0 };
    struct vfio_pci_hot_reset_info *info = (void *)bytes;
    struct vfio_device_feature feature = { .argsz = sizeof feature, .flags = VFIO_DEVICE_FEATURE_PROBE | 0xfff };
    put(device, 0, ENGINE, 8, 0x77);
    MUST(ioctl(device, VFIO_DEVICE_RESET) == 0);
    put(device, VFIO_PCI_CONFIG_REGION_INDEX, 4, 2, 0x6);
    MUST(at(device, 0, ENGINE, 8) == 0);
    info->argsz = sizeof *info;
    REFUSED(ENOSPC, ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info));
    MUST(info->count == 1);
    info->argsz = sizeof bytes;
    info->flags = 0;
    MUST(ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info) == 0 && info->count == 1);
    MUST(by_group == !(info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID));
    MUST(info->devices[0].bus == strtoul(address + 5, NULL, 16) && info->devices[0].devfn == 0);
    REFUSED(ENOTTY, ioctl(device, VFIO_DEVICE_FEATURE, &feature));
    feature.argsz = 7;
    REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_FEATURE, &feature));
    holds("resets and features");
}

static __u32 copied(int device, __u64 from, __u64 to, __u32 length, __u32 control)
{
    __u32 status;
    put(device, 0, ENGINE, 8, from);
    put(device, 0, ENGINE + 8, 8, to);
    put(device, 0, ENGINE + 0x10, 4, length);
    put(device, 0, ENGINE + 0x14, 4, control);
    do
        status = at(device, 0, ENGINE + 0x18, 4);
    while (status & 1);
    return status;
}

/* What is mapped at IOVA goes to the device's memory and comes back a page further on. */
static void copies(int device, unsigned char *memory, const char *what)
{
    for (int place = 0; place < 300; place++)
        memory[place] = place * 7 + 1;
    memset(memory + PAGE, 0, PAGE);
    MUST(copied(device, IOVA, INSIDE, 300, TO_DEVICE) == DONE);
    MUST(copied(device, INSIDE, IOVA + PAGE, 300, TO_HOST) == DONE);
    MUST(memcmp(memory, memory + PAGE, 300) == 0 && memory[PAGE + 300] == 0);
    holds(what);
}

/* Copies of a descriptor are of one open file, in whatever process. */
static void copies_of_files(int device)
{
    int status, copy = dup(device);
    pid_t child = fork();
    if (child == 0)
        _exit(at(copy, VFIO_PCI_CONFIG_REGION_INDEX, 0, 2) == from_sysfs("vendor") ? 0 : 1);
    MUST(waitpid(child, &status, 0) == child && status == 0);
    close(copy);
    MUST(at(device, VFIO_PCI_CONFIG_REGION_INDEX, 0, 2) == from_sysfs("vendor"));
    struct stat of;
    MUST(fstat(device, &of) == 0 && S_ISCHR(of.st_mode));
    holds("dup, fork and fstat");
}

static void device_calls(int device, int by_group)
{
    device_info(device);
    region_infos(device);
    accesses(device);
    mappings(device);
    interrupts(device);
    event_writes(device);
    resets_and_features(device, by_group);
    copies_of_files(device);
}

static void by_type1(void)
{
    char path[300], target[300] = "";
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/iommu_group", address);
    MUST(readlink(path, target, sizeof target - 1) > 0);
    snprintf(path, sizeof path, "/dev/vfio/%s", strrchr(target, '/') + 1);
    int container = open("/dev/vfio/vfio", O_RDWR), group = open(path, O_RDWR);
    MUST(container >= 0 && group >= 0);
    REFUSED(EBUSY, open(path, O_RDWR));
    MUST(ioctl(container, VFIO_GET_API_VERSION) == VFIO_API_VERSION);
    MUST(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1);
    MUST(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU) == 0);
    REFUSED(EINVAL, ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
    struct vfio_group_status status = { .argsz = sizeof status };
    MUST(ioctl(group, VFIO_GROUP_GET_STATUS, &status) == 0 && status.flags == VFIO_GROUP_FLAGS_VIABLE);
    REFUSED(EINVAL, ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address));
    MUST(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
    MUST(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
    REFUSED(ENODEV, ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:00.7"));
    int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
    MUST(device >= 0);
    holds("a container, a group and its device");

    char room[512] = { 0 };
    struct vfio_iommu_type1_info *info = (void *)room;
    info->argsz = sizeof room;
    MUST(ioctl(container, VFIO_IOMMU_GET_INFO, info) == 0 && info->flags & VFIO_IOMMU_INFO_PGSIZES);
    MUST(in_chain(info, sizeof room, info->cap_offset, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE));
    device_calls(device, 1);

    unsigned char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct vfio_iommu_type1_dma_map map = { .argsz = sizeof map, .vaddr = (__u64)memory, .iova = IOVA };
    struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof unmap, .iova = IOVA, .size = 2 * PAGE };
    map.size = 2 * PAGE;
    REFUSED(EINVAL, ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
    map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
    MUST(ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0);
    REFUSED(EEXIST, ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
    copies(device, memory, "copies through a container");
    unmap.size = PAGE;
    REFUSED(EINVAL, ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap));
    unmap.size = 2 * PAGE;
    MUST(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0 && unmap.size == 2 * PAGE);
    MUST(copied(device, IOVA, INSIDE, 300, TO_DEVICE) == UNMAPPED);
    REFUSED(EBUSY, ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
    close(device);
    MUST(ioctl(group, VFIO_GROUP_UNSET_CONTAINER) == 0);
    close(group);
    group = open(path, O_RDWR);
    MUST(group >= 0);
    holds("what is given back can be had again");
}

/* The node of the device itself. */
static int own_node(void)
{
    char path[300];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/vfio-dev", address);
    DIR *folder = opendir(path);
    MUST(folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (strncmp(entry->d_name, "vfio", 4) == 0)
            snprintf(path, sizeof path, "/dev/vfio/devices/%s", entry->d_name);
    closedir(folder);
    return open(path, O_RDWR);
}

static void ioas_copies(int iommufd, int device, __u32 ioas)
{
    const int both = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
    unsigned char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iommu_ioas_map map = { .size = sizeof map, .flags = both, .ioas_id = ioas, .iova = IOVA };
    struct iommu_ioas_unmap unmap = { .size = sizeof unmap, .ioas_id = ioas, .iova = IOVA, .length = 2 * PAGE };
    map.user_va = (__u64)memory;
    map.length = 2 * PAGE;
    MUST(ioctl(iommufd, IOMMU_IOAS_MAP, &map) == 0);
    REFUSED(EEXIST, ioctl(iommufd, IOMMU_IOAS_MAP, &map));
    copies(device, memory, "copies through an address space");
    MUST(ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap) == 0 && unmap.length == 2 * PAGE);
    MUST(copied(device, IOVA, INSIDE, 300, TO_DEVICE) == UNMAPPED);
    int file = memfd_create("memory", 0);
    MUST(file >= 0 && ftruncate(file, 2 * PAGE) == 0);
    struct iommu_ioas_map_file of_file = { .size = sizeof of_file, .flags = both, .ioas_id = ioas, .fd = file };
    of_file.length = 2 * PAGE;
    of_file.iova = IOVA;
    MUST(ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &of_file) == 0);
    memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    copies(device, memory, "copies through a file in an address space");
    MUST(ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap) == 0);
    REFUSED(ENOENT, ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap));
}

static void by_iommufd(void)
{
    int iommufd = open("/dev/iommu", O_RDWR), device = own_node();
    struct vfio_device_info info = { .argsz = sizeof info };
    struct vfio_device_bind_iommufd bind = { .argsz = sizeof bind, .iommufd = iommufd };
    struct iommu_ioas_alloc alloc = { .size = sizeof alloc };
    MUST(iommufd >= 0 && device >= 0);
    REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_GET_INFO, &info));
    MUST(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0);
    REFUSED(EINVAL, ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind));
    MUST(ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc) == 0);
    struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof attach, .pt_id = alloc.out_ioas_id };
    MUST(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0 && attach.pt_id != alloc.out_ioas_id);
    struct iommu_destroy destroy = { .size = sizeof destroy, .id = alloc.out_ioas_id };
    REFUSED(EBUSY, ioctl(iommufd, IOMMU_DESTROY, &destroy));
    holds("a device bound and attached");

    struct iommu_iova_range ranges[8];
    struct iommu_ioas_iova_ranges where = { .size = sizeof where, .ioas_id = alloc.out_ioas_id };
    REFUSED(EMSGSIZE, ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, &where));
    where.num_iovas = 8;
    where.allowed_iovas = (__u64)ranges;
    MUST(ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, &where) == 0 && where.num_iovas > 0);
    MUST(where.out_iova_alignment == PAGE && ranges[0].start == 0 && ranges[0].last < 0xfee00000);
    struct iommu_hw_info hardware = { .size = sizeof hardware, .dev_id = bind.out_devid };
    MUST(ioctl(iommufd, IOMMU_GET_HW_INFO, &hardware) == 0);
    device_calls(device, 0);
    ioas_copies(iommufd, device, alloc.out_ioas_id);

    struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof detach };
    MUST(ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach) == 0);
    MUST(ioctl(iommufd, IOMMU_DESTROY, &destroy) == 0);
    REFUSED(ENOENT, ioctl(iommufd, IOMMU_DESTROY, &destroy));
    close(device);
    device = own_node();
    MUST(device >= 0 && ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0);
    holds("what is given back can be had again");
}

int main(int count, char **arguments)
{
    if (count != 4)
        return 2;
    address = arguments[1];
    is_cxl = strcmp(arguments[3], "cxl") == 0;
    if (strcmp(arguments[2], "type1") == 0)
        by_type1();
    else
        by_iommufd();
    printf("%d held\n", held);
    return 0;
}
