/* Preloaded (LD_PRELOAD): a mapping of a sealed file, as the pump's is, gets private memory instead, for lb to be measured beside. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (fd >= 0 && fcntl(fd, F_GET_SEALS) > 0) {
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        fd = -1;
        offset = 0;
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}
