#include "server/train_view.h"

#include "base/clock.h"

#include <inttypes.h>
#include <math.h>
#include <unistd.h>

enum { BAR_WIDTH = 24, SHOW_MS = 100, FEW_EPOCHS = 20, LINE_MS = 5000 };

struct train_view train_view_new(FILE *out, const struct train_spec *spec, uint64_t first_step)
{
    return (struct train_view){.out = out,
                               .is_terminal = isatty(fileno(out)) == 1,
                               .batch_size = spec->batch_size,
                               .first_step = first_step,
                               .started_ms = clock_monotonic_ms()};
}

static void show_figures(struct train_view *view, const struct train_progress *progress)
{
    double seconds = (double)(clock_monotonic_ms() - view->started_ms) / 1000;
    double speed = seconds > 0 ? (double)(progress->step - view->first_step) / seconds : 0;
    double left = speed > 0 ? (double)(progress->steps - progress->step) / speed : 0;
    fprintf(view->out, "epoch %zu/%zu  loss %.4g  accuracy %.1f %%", progress->epoch, progress->epochs,
            progress->loss, 100 * progress->accuracy);
    if (!isnan(progress->validation_accuracy))
        fprintf(view->out, "  validation %.1f %%", 100 * progress->validation_accuracy);
    fprintf(view->out, "  %.0f rows/s  %.0f s left", speed * (double)view->batch_size, ceil(left));
}

static void show_bar(struct train_view *view, const struct train_progress *progress)
{
    double done = progress->steps > 0 ? (double)progress->step / (double)progress->steps : 1;
    int filled = (int)(done * BAR_WIDTH);
    fprintf(view->out, "\r\033[K[%.*s%*s] %3.0f %%  ", filled, "########################", BAR_WIDTH - filled,
            "", 100 * done);
    show_figures(view, progress);
}

static bool is_line_due(const struct train_view *view, const struct train_progress *progress, int64_t now)
{
    if (progress->epoch == view->epoch_shown)
        return false;
    return progress->epochs <= FEW_EPOCHS || progress->epoch == progress->epochs ||
           now - view->shown_ms >= LINE_MS;
}

void train_view_progress(struct train_view *view, const struct train_progress *progress)
{
    int64_t now = clock_monotonic_ms();
    bool is_last = progress->step == progress->steps;
    if (view->is_terminal && (is_last || now - view->shown_ms >= SHOW_MS)) {
        show_bar(view, progress);
        view->shown_ms = now;
    } else if (!view->is_terminal && is_line_due(view, progress, now)) {
        show_figures(view, progress);
        fputc('\n', view->out);
        view->epoch_shown = progress->epoch;
        view->shown_ms = now;
    }
    fflush(view->out);
}

void train_view_end(struct train_view *view)
{
    if (view->is_terminal)
        fputc('\n', view->out);
    fflush(view->out);
}

void train_view_gradients(FILE *out, const struct step_record *first, const struct step_record *last)
{
    fprintf(out, "\nGradient norm of each layer:\n\n  %-20s %14s %" PRIu64 " %12s %" PRIu64 "\n", "layer",
            "step", first->step, "step", last->step);
    for (size_t i = 0; i < first->layer_count && i < last->layer_count; i++)
        fprintf(out, "  %-20s %16.3e %14.3e\n", first->layers[i].name,
                first->layers[i].values[LAYER_GRADIENT_NORM], last->layers[i].values[LAYER_GRADIENT_NORM]);
}
