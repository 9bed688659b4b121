#include "train/schedule.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

static double rate_constant(const struct schedule_spec *spec, double rate, double n)
{
    (void)spec, (void)n;
    return rate;
}

static double rate_step(const struct schedule_spec *spec, double rate, double n)
{
    return rate * pow(spec->decay_rate, floor(n / spec->decay_steps));
}

static double progress(const struct schedule_spec *spec, double n)
{
    const double p = n / spec->decay_steps;
    return spec->staircase ? floor(p) : p;
}

static double rate_exponential(const struct schedule_spec *spec, double rate, double n)
{
    return rate * pow(spec->decay_rate, progress(spec, n));
}

static double rate_inverse_time(const struct schedule_spec *spec, double rate, double n)
{
    return rate / (1 + spec->decay_rate * progress(spec, n));
}

static double rate_polynomial(const struct schedule_spec *spec, double rate, double n)
{
    double steps = spec->decay_steps;
    if (spec->cycle)
        steps *= fmax(1, ceil(n / spec->decay_steps));
    const double p = fmin(n, steps) / steps;
    return (rate - spec->end_learning_rate) * pow(1 - p, spec->power) + spec->end_learning_rate;
}

static double half_cosine(double p) // from 1 to 0
{
    return 0.5 * (1 + cos(PI * p));
}

static double rate_cosine(const struct schedule_spec *spec, double rate, double n)
{
    const double p = fmin(n, spec->decay_steps) / spec->decay_steps;
    return rate * ((1 - spec->alpha) * half_cosine(p) + spec->alpha);
}

// Periods so far, and how far into the present one: t_mul 1 is the limit of the other.
static double rate_cosine_restarts(const struct schedule_spec *spec, double rate, double n)
{
    double p = n / spec->decay_steps, restarts;
    if (spec->t_mul == 1) {
        restarts = floor(p);
        p -= restarts;
    } else {
        restarts = floor(log(1 - p * (1 - spec->t_mul)) / log(spec->t_mul));
        p = (p - (1 - pow(spec->t_mul, restarts)) / (1 - spec->t_mul)) / pow(spec->t_mul, restarts);
    }
    const double cosine = pow(spec->m_mul, restarts) * half_cosine(p);
    return rate * ((1 - spec->alpha) * cosine + spec->alpha);
}

static double rate_one_cycle(const struct schedule_spec *spec, double rate, double n)
{
    const double first = rate / spec->div_factor, last = first / spec->final_div_factor;
    const double turn = spec->pct_start * spec->decay_steps - 1, end = spec->decay_steps - 1;
    if (n <= turn)
        return rate + (first - rate) * half_cosine(turn > 0 ? n / turn : 1);
    const double p = end > turn ? (fmin(n, end) - turn) / (end - turn) : 1;
    return last + (rate - last) * half_cosine(p);
}

static const struct {
    double (*rate)(const struct schedule_spec *spec, double rate, double n);
    bool spans_job, needs_steps;
} schedules[] = {
    [SCHEDULE_CONSTANT] = {rate_constant, false, false},
    [SCHEDULE_STEP] = {rate_step, false, true},
    [SCHEDULE_EXPONENTIAL] = {rate_exponential, false, true},
    [SCHEDULE_POLYNOMIAL] = {rate_polynomial, true, false},
    [SCHEDULE_INVERSE_TIME] = {rate_inverse_time, false, true},
    [SCHEDULE_COSINE] = {rate_cosine, true, false},
    [SCHEDULE_COSINE_RESTARTS] = {rate_cosine_restarts, false, true},
    [SCHEDULE_ONE_CYCLE] = {rate_one_cycle, true, false},
    [SCHEDULE_REDUCE_ON_PLATEAU] = {rate_constant, false, false},
};
_Static_assert(sizeof schedules / sizeof *schedules == SCHEDULE_COUNT, "every schedule has a row");

struct schedule_state schedule_start(const struct optimizer_spec *spec)
{
    return (struct schedule_state){.learning_rate = spec->learning_rate, .best = INFINITY};
}

double schedule_rate(const struct optimizer_spec *spec, const struct schedule_state *state, uint64_t step)
{
    const struct schedule_spec *schedule = &spec->schedule;
    const double n = (double)step - 1 - schedule->warmup_steps;
    const double rate = schedules[schedule->type].rate(schedule, state->learning_rate, fmax(n, 0));
    if (n >= 0)
        return rate;
    const double from = schedule->warmup_initial_learning_rate;
    return from + (rate - from) * ((double)(step - 1) / schedule->warmup_steps);
}

void schedule_epoch(const struct optimizer_spec *spec, struct schedule_state *state, double validation_loss)
{
    const struct schedule_spec *schedule = &spec->schedule;
    if (schedule->type != SCHEDULE_REDUCE_ON_PLATEAU)
        return;
    if (state->cooldown > 0) {
        state->cooldown--;
        state->waited = 0;
    }
    if (validation_loss < state->best - schedule->min_delta) {
        state->best = validation_loss;
        state->waited = 0;
    } else if (state->cooldown == 0 && ++state->waited >= schedule->patience &&
               state->learning_rate > schedule->min_learning_rate) {
        state->learning_rate = fmax(state->learning_rate * schedule->factor, schedule->min_learning_rate);
        state->cooldown = schedule->cooldown;
        state->waited = 0;
    }
}

bool schedule_spans_job(enum schedule_type type)
{
    return schedules[type].spans_job;
}

bool schedule_needs_decay_steps(enum schedule_type type)
{
    return schedules[type].needs_steps;
}
