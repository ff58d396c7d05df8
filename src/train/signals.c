#include "thaw/train.h"

#include <signal.h>
#include <string.h>

/* The one flag that a handler may touch. It is looked at between steps and becomes a decision only after ranks have agreed. */
static volatile sig_atomic_t stop_wanted;

static void on_signal(int number)
{
    (void)number;
    stop_wanted = 1;
}

void thaw_stop_on_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        (void)sigaction(numbers[i], &action, NULL);
}

bool thaw_stop_requested(void)
{
    return stop_wanted != 0;
}
