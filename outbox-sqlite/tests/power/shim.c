/* Records what a program does to the files of one folder, in order, for tests/power.
 *
 * Preloaded. POWER_FOLDER names the folder (absolute, without links), POWER_LOG the file to
 * which the records are appended, POWER_DELAY how long a sync takes, in microseconds. Syncs are recorded and
 * not done. Files that end in -shm are left out: they are mapped, and made anew after a crash.
 *
 * A record: op (1 byte), inode, a, b (8 bytes each), length of the name, length of the data (4
 * bytes each), name, data; in the machine's byte order. Names are relative to the folder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, ALLOCATE, SYNC, SYNCED, RENAME, UNLINK, LINK, MKDIR };
enum { CREATED = 1, EMPTIED = 2, FOLDER = 4 };

static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_truncate)(const char *, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_posix_fallocate)(int, off_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_renameat2)(int, const char *, int, const char *, unsigned);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_linkat)(int, const char *, int, const char *, int);
static int (*real_mkdirat)(int, const char *, mode_t);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_length;
static dev_t device;
static int log_file = -1;
static useconds_t delay;
static uint64_t syncs;
/* The inodes of the folder's files that were opened, and of the folder itself. */
static ino_t *watched;
static size_t watched_count, watched_room;

static void die(const char *what) {
    dprintf(2, "the recorder of file operations: %s: %s\n", what, strerror(errno));
    abort();
}

static void *next(const char *name) {
    void *f = dlsym(RTLD_NEXT, name);
    if (!f) die(name);
    return f;
}

static void start(void) {
    real_openat = next("openat64");
    real_write = next("write");
    real_writev = next("writev");
    real_pwrite = next("pwrite64");
    real_pwritev = next("pwritev64");
    real_ftruncate = next("ftruncate64");
    real_truncate = next("truncate64");
    real_fallocate = next("fallocate64");
    real_posix_fallocate = next("posix_fallocate64");
    real_fsync = next("fsync");
    real_fdatasync = next("fdatasync");
    real_renameat2 = next("renameat2");
    real_unlinkat = next("unlinkat");
    real_linkat = next("linkat");
    real_mkdirat = next("mkdirat");
    real_mmap = next("mmap64");
    const char *where = getenv("POWER_FOLDER"), *log = getenv("POWER_LOG");
    const char *wait = getenv("POWER_DELAY");
    struct stat st;
    if (!where || !log) return;
    if (strlen(where) >= sizeof folder || stat(where, &st)) die(where);
    strcpy(folder, where);
    device = st.st_dev;
    delay = wait ? (useconds_t)atoi(wait) : 0;
    log_file = real_openat(AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_file < 0) die(log);
    folder_length = strlen(folder);
}

static void ready(void) { pthread_once(&once, start); }

__attribute__((constructor)) static void at_start(void) { ready(); }

/* The name within the folder, "" for the folder itself; NULL if it is none of ours. */
static const char *name_of(int at, const char *path, char *room) {
    if (!folder_length || !path) return NULL;
    if (path[0] == '/') {
        if (snprintf(room, PATH_MAX, "%s", path) >= PATH_MAX) return NULL;
    } else {
        char base[PATH_MAX / 2];
        if (at == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return NULL;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            ssize_t n = readlink(link, base, sizeof base - 1);
            if (n < 0) return NULL;
            base[n] = 0;
        }
        if (snprintf(room, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return NULL;
    }
    if (strncmp(room, folder, folder_length)) return NULL;
    char *name = room + folder_length;
    if (*name && *name != '/') return NULL;
    while (*name == '/') name++;
    size_t n = strlen(name);
    if (n >= 4 && !strcmp(name + n - 4, "-shm")) return NULL;
    return name;
}

/* Called under the lock. */
static void record(uint8_t op, ino_t inode, uint64_t a, uint64_t b, const char *name,
                   size_t name_length, const void *data, size_t length) {
    unsigned char head[33];
    uint64_t numbers[3] = {inode, a, b};
    uint32_t lengths[2] = {(uint32_t)name_length, (uint32_t)length};
    head[0] = op;
    memcpy(head + 1, numbers, 24);
    memcpy(head + 25, lengths, 8);
    struct iovec parts[3] = {{head, sizeof head}, {(void *)name, name_length}, {(void *)data, length}};
    ssize_t all = (ssize_t)(sizeof head + name_length + length);
    if (real_writev(log_file, parts, 3) != all) die("the log cannot be written");
}

static int is_watched(int fd, struct stat *st) {
    if (!folder_length || fstat(fd, st) || st->st_dev != device) return 0;
    int found = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < watched_count && !found; i++) found = watched[i] == st->st_ino;
    pthread_mutex_unlock(&lock);
    return found;
}

/* Called under the lock. */
static void watch(ino_t inode) {
    for (size_t i = 0; i < watched_count; i++)
        if (watched[i] == inode) return;
    if (watched_count == watched_room) {
        watched_room = watched_room ? watched_room * 2 : 64;
        watched = realloc(watched, watched_room * sizeof *watched);
        if (!watched) die("no memory");
    }
    watched[watched_count++] = inode;
}

static int do_open(int at, const char *path, int flags, mode_t mode) {
    ready();
    char room[PATH_MAX];
    const char *name = name_of(at, path, room);
    if (!name) return real_openat(at, path, flags, mode);
    struct stat st;
    pthread_mutex_lock(&lock);
    int was_there = !fstatat(at, path, &st, 0);
    int fd = real_openat(at, path, flags, mode);
    int error = errno;
    if (fd >= 0) {
        if (fstat(fd, &st)) die(path);
        watch(st.st_ino);
        uint64_t how = (was_there ? 0 : CREATED) | (flags & O_TRUNC ? EMPTIED : 0) |
                       (S_ISDIR(st.st_mode) ? FOLDER : 0);
        record(OPEN, st.st_ino, how, (uint64_t)st.st_size, name, strlen(name), NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE(flags)                                   \
    mode_t mode = 0;                                  \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {          \
        va_list more;                                 \
        va_start(more, flags);                        \
        mode = va_arg(more, mode_t);                  \
        va_end(more);                                 \
    }

int open(const char *path, int flags, ...) { MODE(flags) return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return do_open(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return do_open(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return do_open(at, path, flags, mode); }
int __open_2(const char *path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }
int __openat_2(int at, const char *path, int flags) { return do_open(at, path, flags, 0); }
int __openat64_2(int at, const char *path, int flags) { return do_open(at, path, flags, 0); }
int creat(const char *path, mode_t mode) { return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

/* Where write() writes. Called under the lock. */
static off_t position(int fd) {
    struct stat st;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &st) ? 0 : st.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

static void record_parts(ino_t inode, off_t offset, const struct iovec *parts, int count, ssize_t done) {
    for (int i = 0; i < count && done > 0; i++) {
        size_t n = parts[i].iov_len < (size_t)done ? parts[i].iov_len : (size_t)done;
        record(WRITE, inode, (uint64_t)offset, 0, NULL, 0, parts[i].iov_base, n);
        offset += (off_t)n;
        done -= (ssize_t)n;
    }
}

/* offset < 0: where the file stands. */
static ssize_t do_write(int fd, const struct iovec *parts, int count, off_t offset) {
    struct stat st;
    ready();
    int ours = is_watched(fd, &st);
    if (ours) pthread_mutex_lock(&lock);
    off_t from = ours && offset < 0 ? position(fd) : offset;
    ssize_t done = offset >= 0 ? real_pwritev(fd, parts, count, offset) : real_writev(fd, parts, count);
    int error = errno;
    if (ours) {
        record_parts(st.st_ino, from, parts, count, done);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return done;
}

ssize_t write(int fd, const void *data, size_t length) {
    struct iovec one = {(void *)data, length};
    return do_write(fd, &one, 1, -1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) { return do_write(fd, parts, count, -1); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    struct iovec one = {(void *)data, length};
    return do_write(fd, &one, 1, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return pwrite(fd, data, length, offset); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return do_write(fd, parts, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return do_write(fd, parts, count, offset); }

/* Does the call and records it if it worked. */
#define NOTED(call, worked, ...)                      \
    pthread_mutex_lock(&lock);                        \
    int answer = (call), error = errno;               \
    if (answer == (worked)) record(__VA_ARGS__);      \
    pthread_mutex_unlock(&lock);                      \
    errno = error;                                    \
    return answer;

int ftruncate(int fd, off_t length) {
    struct stat st;
    ready();
    if (!is_watched(fd, &st)) return real_ftruncate(fd, length);
    NOTED(real_ftruncate(fd, length), 0, TRUNCATE, st.st_ino, (uint64_t)length, 0, NULL, 0, NULL, 0)
}
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int truncate(const char *path, off_t length) {
    char room[PATH_MAX];
    ready();
    if (!name_of(AT_FDCWD, path, room)) return real_truncate(path, length);
    int fd = do_open(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    int answer = ftruncate(fd, length);
    close(fd);
    return answer;
}
int truncate64(const char *path, off64_t length) { return truncate(path, length); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
    struct stat st;
    ready();
    if (!is_watched(fd, &st)) return real_fallocate(fd, mode, offset, length);
    if (mode) {
        errno = EOPNOTSUPP;
        return -1;
    }
    NOTED(real_fallocate(fd, mode, offset, length), 0, ALLOCATE, st.st_ino, (uint64_t)offset, (uint64_t)length, NULL, 0, NULL, 0)
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) {
    struct stat st;
    ready();
    if (!is_watched(fd, &st)) return real_posix_fallocate(fd, offset, length);
    return fallocate(fd, 0, offset, length) ? errno : 0;
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

static int do_sync(int fd, int (*real)(int)) {
    struct stat st;
    if (!is_watched(fd, &st)) return real(fd);
    pthread_mutex_lock(&lock);
    /* Another process may append to the same log: the number alone would not do. */
    uint64_t number = ((uint64_t)getpid() << 32) | ++syncs;
    record(SYNC, st.st_ino, number, 0, NULL, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    if (delay) usleep(delay);
    pthread_mutex_lock(&lock);
    record(SYNCED, st.st_ino, number, 0, NULL, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int fd) { ready(); return do_sync(fd, real_fsync); }
int fdatasync(int fd) { ready(); return do_sync(fd, real_fdatasync); }

/* Two names, with a zero between; one that is none of ours is empty. */
static size_t pair(char *room, const char *from, const char *to) {
    size_t n = from ? strlen(from) : 0, m = to ? strlen(to) : 0;
    if (from) memcpy(room, from, n);
    room[n] = 0;
    if (to) memcpy(room + n + 1, to, m);
    return n + 1 + m;
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char rooms[2][PATH_MAX], both[2 * PATH_MAX];
    ready();
    const char *a = name_of(from_at, from, rooms[0]), *b = name_of(to_at, to, rooms[1]);
    if (!a && !b) return real_renameat2(from_at, from, to_at, to, flags);
    size_t n = pair(both, a, b);
    NOTED(real_renameat2(from_at, from, to_at, to, flags), 0, RENAME, 0, flags, 0, both, n, NULL, 0)
}
int renameat(int from_at, const char *from, int to_at, const char *to) { return renameat2(from_at, from, to_at, to, 0); }
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int at, const char *path, int flags) {
    char room[PATH_MAX];
    ready();
    const char *name = name_of(at, path, room);
    if (!name) return real_unlinkat(at, path, flags);
    NOTED(real_unlinkat(at, path, flags), 0, UNLINK, 0, (uint64_t)flags, 0, name, strlen(name), NULL, 0)
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    if (!unlinkat(AT_FDCWD, path, 0)) return 0;
    return errno == EISDIR ? rmdir(path) : -1;
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char rooms[2][PATH_MAX], both[2 * PATH_MAX];
    ready();
    const char *a = name_of(from_at, from, rooms[0]), *b = name_of(to_at, to, rooms[1]);
    if (!a && !b) return real_linkat(from_at, from, to_at, to, flags);
    size_t n = pair(both, a, b);
    NOTED(real_linkat(from_at, from, to_at, to, flags), 0, LINK, 0, 0, 0, both, n, NULL, 0)
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int mkdirat(int at, const char *path, mode_t mode) {
    char room[PATH_MAX];
    ready();
    const char *name = name_of(at, path, room);
    if (!name) return real_mkdirat(at, path, mode);
    NOTED(real_mkdirat(at, path, mode), 0, MKDIR, 0, 0, 0, name, strlen(name), NULL, 0)
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* What is written through a map cannot be seen here. */
void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    struct stat st;
    ready();
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && is_watched(fd, &st)) {
        errno = EACCES;
        return MAP_FAILED;
    }
    return real_mmap(at, length, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mmap(at, length, protection, flags, fd, offset);
}
