/* net_switch.c - the switch of tools/net-lab: joins network namespaces by links of a set rate and delay, without modules of the kernel.
 *
 *   net_switch MEGABITS MICROSECONDS NAMESPACE...
 *
 * Each namespace gets an interface eth0 whose other end is here. The interface of the namespace at place i (from 1) must have an address of
 * six bytes that ends in i, which is how the switch knows where a frame goes. Prints "ready", forwards until SIGTERM or SIGINT.
 *
 * A link is full duplex. A frame occupies its sender's link for its length over the rate, then its receiver's, which begins no earlier than
 * the first byte can be there; the delay is added once. The kernel hands over up to 64 KiB at a time (segmentation is left to the device),
 * counted here as the packets that a wire would carry. Nothing is lost unless a receiver is MOST_WAITING_BYTES behind. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>

enum {
    MOST_HOSTS = 64,
    FRAME_BYTES = 66000,
    SLOTS = 4096,
    MOST_WAITING_BYTES = 16 << 20,
    BURST = 16,
    /* Preamble, checksum and gap between packets of Ethernet. */
    PACKET_OVERHEAD = 24
};
/* A sender that is this far behind is not read: its own kernel holds the frames, as a network card's queue would. */
#define MOST_BEHIND_NS 1000000
/* A timer of a virtual machine rings this much late; the rest is waited for awake. */
#define LATE_NS 60000

typedef struct frame {
    int64_t due;
    int length;
    unsigned char *bytes;
} frame;

typedef struct port {
    int file;
    int64_t up_free, down_free; /* when the two directions of the link are free again, in ns */
    frame waiting[SLOTS];       /* towards the host, in order of `due` */
    int first, count;
    int64_t waiting_bytes;
} port;

static port *ports;
static int port_count;
static double bytes_per_ns; /* 0: no limit */
static int64_t delay_ns;
static volatile sig_atomic_t ended;

static void end(int signal_number)
{
    (void)signal_number;
    ended = 1;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void give_up(const char *what)
{
    fprintf(stderr, "net_switch: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_link(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    const int there = open(path, O_RDONLY | O_CLOEXEC);
    if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) != 0)
        give_up(path);
    const int file = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        give_up("/dev/net/tun");
    struct ifreq wanted = {.ifr_name = "eth0"};
    wanted.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    int header = sizeof(struct virtio_net_hdr);
    if (ioctl(file, TUNSETIFF, &wanted) != 0 ||
        ioctl(file, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0 ||
        ioctl(file, TUNSETVNETHDRSZ, &header) != 0)
        give_up("eth0");
    if (setns(home, CLONE_NEWNET) != 0)
        give_up("the way back from a namespace");
    close(home);
    close(there);
    return file;
}

/* Bytes that a wire would carry for this frame: each of its packets has the headers. */
static int64_t wire_bytes(const unsigned char *bytes, int length)
{
    struct virtio_net_hdr header;
    memcpy(&header, bytes, sizeof header);
    int64_t frame_bytes = length - (int64_t)sizeof header;
    int64_t packets = 1;
    if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE && header.gso_size > 0) {
        packets = (frame_bytes - header.hdr_len + header.gso_size - 1) / header.gso_size;
        frame_bytes += (packets - 1) * header.hdr_len;
    }
    return frame_bytes + packets * PACKET_OVERHEAD;
}

static void queue(port *to, int64_t due, const unsigned char *bytes, int length)
{
    if (to->count == SLOTS || to->waiting_bytes + length > MOST_WAITING_BYTES)
        return;
    frame *f = &to->waiting[(to->first + to->count) % SLOTS];
    f->bytes = malloc((size_t)length);
    if (f->bytes == NULL)
        give_up("a frame");
    memcpy(f->bytes, bytes, (size_t)length);
    f->due = due;
    f->length = length;
    to->count++;
    to->waiting_bytes += length;
}

static void forward(port *from, const unsigned char *bytes, int length)
{
    const unsigned char *address = bytes + sizeof(struct virtio_net_hdr);
    const int64_t t = now();
    const int64_t takes =
        bytes_per_ns > 0 ? (int64_t)((double)wire_bytes(bytes, length) / bytes_per_ns) : 0;
    from->up_free = (from->up_free > t ? from->up_free : t) + takes;
    for (int i = 0; i < port_count; i++) {
        port *to = &ports[i];
        /* The lowest bit of the first byte: to all. */
        if (to == from || (!(address[0] & 1) && address[5] != i + 1))
            continue;
        const int64_t after = to->down_free + takes;
        to->down_free = after > from->up_free ? after : from->up_free;
        queue(to, to->down_free + delay_ns, bytes, length);
    }
}

static void receive(port *from)
{
    static unsigned char bytes[FRAME_BYTES];
    for (int i = 0; i < BURST && from->up_free <= now() + MOST_BEHIND_NS; i++) {
        const ssize_t length = read(from->file, bytes, sizeof bytes);
        if (length <= (ssize_t)sizeof(struct virtio_net_hdr) + 6)
            return;
        forward(from, bytes, (int)length);
    }
}

/* When the next frame is due, or INT64_MAX. */
static int64_t deliver(port *to)
{
    while (to->count > 0) {
        frame *f = &to->waiting[to->first];
        if (f->due > now())
            return f->due;
        if (write(to->file, f->bytes, (size_t)f->length) < 0 && errno == EAGAIN)
            return now() + LATE_NS;
        to->waiting_bytes -= f->length;
        free(f->bytes);
        to->first = (to->first + 1) % SLOTS;
        to->count--;
    }
    return INT64_MAX;
}

static void wait_and_read(int64_t next)
{
    struct pollfd files[MOST_HOSTS];
    const int64_t t = now();
    for (int i = 0; i < port_count; i++) {
        const bool behind = ports[i].up_free > t + MOST_BEHIND_NS;
        const int64_t caught_up = ports[i].up_free - MOST_BEHIND_NS / 2;
        files[i] = (struct pollfd){.fd = ports[i].file, .events = behind ? 0 : POLLIN};
        if (behind && caught_up < next)
            next = caught_up;
    }
    const int64_t left = next > t + LATE_NS ? next - t - LATE_NS : 0;
    const struct timespec time = {left / 1000000000, left % 1000000000};
    if (ppoll(files, (nfds_t)port_count, next == INT64_MAX ? NULL : &time, NULL) <= 0)
        return;
    for (int i = 0; i < port_count; i++)
        if (files[i].revents & POLLIN)
            receive(&ports[i]);
}

int main(int argc, char **argv)
{
    port_count = argc - 3;
    if (port_count < 2 || port_count > MOST_HOSTS) {
        fprintf(stderr, "usage: net_switch MEGABITS MICROSECONDS NAMESPACE...; 2 to %d of them\n",
                MOST_HOSTS);
        return 2;
    }
    bytes_per_ns = strtod(argv[1], NULL) / 8e3;
    delay_ns = (int64_t)(strtod(argv[2], NULL) * 1e3);
    ports = calloc((size_t)port_count, sizeof *ports);
    if (ports == NULL)
        give_up("the ports");
    const struct sigaction action = {.sa_handler = end};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    for (int i = 0; i < port_count; i++)
        ports[i].file = open_link(argv[3 + i]);
    /* A switch does not wait for the hosts' programs; here they share the cores. */
    const struct sched_param first = {.sched_priority = 10};
    if (sched_setscheduler(0, SCHED_FIFO, &first) != 0)
        fprintf(stderr, "net_switch: no priority over other processes: %s\n", strerror(errno));
    printf("ready\n");
    fflush(stdout);
    while (!ended) {
        int64_t next = INT64_MAX;
        for (int i = 0; i < port_count; i++) {
            const int64_t due = deliver(&ports[i]);
            next = due < next ? due : next;
        }
        wait_and_read(next);
    }
    return 0;
}
