/* The first process of a guest under QEMU: loads the modules that lie beside it, makes the host's tree the root, and becomes the
 * program that GUEST_INIT names in that, with the arguments that it was given itself. Static: there is no library yet. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    _exit(1); /* the kernel panics, and panic=-1 ends QEMU */
}

static void load_modules(void)
{
    char path[32];
    for (int number = 0;; number++) {
        snprintf(path, sizeof path, "/%d.ko", number);
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return;
        if (syscall(SYS_finit_module, fd, "", 0) < 0)
            die(path);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    load_modules();
    if (mount("host", "/root", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L,msize=512000,cache=loose") < 0)
        die("mount");
    if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        die("root");
    argv[0] = getenv("GUEST_INIT");
    if (argc > 0 && argv[0])
        execv(argv[0], argv);
    die("GUEST_INIT");
}
