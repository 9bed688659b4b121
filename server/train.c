// nabla train: one network, without a server. What it records goes into a store of its own, which
// `nabla serve --data` reads later. (`--worker` is how the server starts it: see worker.c.)
#include "api/api.h"
#include "api/datasets_keep.h"
#include "api/spec.h"
#include "base/file.h"
#include "server/message.h"
#include "server/outcome.h"
#include "server/program.h"
#include "server/train_dataset.h"
#include "server/train_run.h"
#include "server/train_view.h"
#include "server/verbs.h"
#include "server/worker.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Usage: nabla train SPEC.json [--dataset FILE] [--label COLUMN | --labels LABELS] [--task TASK] "
    "[--weight COLUMN]\n"
    "                   [--categorical one_hot] [--weights FILE] [--model FILE] [--out FOLDER]\n"
    "       nabla train --resume [--model FILE] [--out FOLDER]\n\n"
    "Trains the network that SPEC.json describes (as the body of POST /v1/jobs does) and shows how it "
    "goes. Ctrl-C saves it;\nwith --resume it goes on from there, to the same bits.\n\n"
    "  --dataset FILE      the rows: CSV with a header line, safetensors, NPZ, a ZIP file of NPY or IDX "
    "files, or\n"
    "                      one NPY or IDX file, gzip or not; without it, the spec's own data set\n"
    "  --label COLUMN      the column of a CSV file's labels [the last]\n"
    "  --labels LABELS     or several columns, A,B,…, which are targets; of an NPY or IDX file, the file "
    "with the\n"
    "                      labels (MNIST's two, as they are)\n"
    "  --task TASK         classification, multi_label (targets of 0 and 1) or regression [one column is "
    "classes,\n"
    "                      unless it holds numbers that are not all whole]\n"
    "  --weight COLUMN     what each row of a CSV file counts in the loss\n"
    "  --categorical one_hot\n"
    "                      text columns of a CSV file become a column of 0 and 1 for each of their texts\n"
    "  --weights FILE      initial weights: a model as --model writes it\n"
    "  --model FILE        where the trained model goes, as safetensors\n"
    "  --resume            go on with the newest run of the folder that was interrupted or killed\n"
    "  --out FOLDER        where the history is kept: nabla serve --data FOLDER reads it [./nabla-train]\n\n"
    "Exit status: 0 trained, 1 failed, 2 called wrongly, 3 interrupted and saved.\n";

enum { EXIT_INTERRUPTED = 3, FILE_LIMIT = 1 << 30 };

struct arguments {
    const char *spec, *dataset, *label, *labels, *task, *weight, *categorical, *weights, *model, *out;
    bool resume;
};

static const char **argument_find(struct arguments *arguments, const char *option)
{
    const struct {
        const char *option, **field;
    } options[] = {{"--dataset", &arguments->dataset}, {"--label", &arguments->label},
                   {"--labels", &arguments->labels},   {"--task", &arguments->task},
                   {"--weight", &arguments->weight},   {"--categorical", &arguments->categorical},
                   {"--weights", &arguments->weights}, {"--model", &arguments->model},
                   {"--out", &arguments->out}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(options[i].option, option) == 0)
            return options[i].field;
    return NULL;
}

static bool arguments_read(int argc, char **argv, struct arguments *ret)
{
    *ret = (struct arguments){.out = "./nabla-train"};
    for (int i = 1; i < argc; i++) {
        const char **field = argument_find(ret, argv[i]);
        if (field && i + 1 < argc)
            *field = argv[++i];
        else if (strcmp(argv[i], "--resume") == 0)
            ret->resume = true;
        else if (!field && argv[i][0] != '-' && !ret->spec)
            ret->spec = argv[i];
        else
            return false;
    }
    const bool any = ret->label || ret->labels || ret->task || ret->weight || ret->categorical;
    if (ret->resume)
        return !ret->spec && !ret->dataset && !any && !ret->weights;
    return ret->spec && (ret->dataset || !any) && !(ret->label && ret->labels);
}

// A document must say where its rows come from. Where a file brings them, it need not: an id stands in.
static void stand_in(const struct buffer *text, struct buffer *ret)
{
    static const char member[] = "\"dataset\":\"ds_file\"";
    struct message dataset;
    const char *open = text->data ? strchr(text->data, '{') : NULL;
    if (!open || message_field((struct message){text->data, text->size}, "dataset", &dataset)) {
        buffer_append(ret, text->data ? text->data : "", text->size);
        return;
    }
    const char *rest = open + 1;
    bool is_empty = rest[strspn(rest, " \t\r\n")] == '}';
    buffer_format(ret, "{%s%s", member, is_empty ? "" : ",");
    buffer_append(ret, rest, text->size - (size_t)(rest - text->data));
}

static enum nabla_code read_spec(const struct arguments *arguments, struct job_spec *ret,
                                 struct nabla_error *err)
{
    struct buffer text = buffer_new(FILE_LIMIT), whole = buffer_new(FILE_LIMIT);
    enum nabla_code code = file_read(arguments->spec, &text, err);
    if (!code && arguments->dataset)
        stand_in(&text, &whole);
    const struct buffer *document = arguments->dataset ? &whole : &text;
    if (!code)
        code = buffer_status(document, arguments->spec, err);
    if (!code)
        code = spec_from_json(document->data ? document->data : "", document->size, &dataset_unlimited, ret,
                              err);
    buffer_free(&whole);
    buffer_free(&text);
    return code;
}

static enum nabla_code read_dataset(const struct arguments *arguments, struct job_spec *spec,
                                    struct dataset **ret, struct nabla_error *err)
{
    if (!arguments->dataset && (spec->source.kind == SOURCE_ID || spec->source.kind == SOURCE_NONE))
        return nabla_fail(err, NABLA_INVALID, "/dataset", "the spec brings no rows: give --dataset FILE");
    if (!arguments->dataset)
        return dataset_source_make(&spec->source, &dataset_unlimited, ret, err);
    const int task = arguments->task ? csv_task_find(arguments->task) : CSV_AUTOMATIC;
    const bool one_hot = arguments->categorical && strcmp(arguments->categorical, "one_hot") == 0;
    if (task < 0 || (arguments->categorical && !one_hot))
        return nabla_fail(
            err, NABLA_INVALID, NULL,
            "--task is automatic, classification, multi_label or regression, --categorical one_hot");
    const struct train_files files = {arguments->dataset,
                                      arguments->labels,
                                      {.label = arguments->label,
                                       .weight = arguments->weight,
                                       .task = (enum csv_task)task,
                                       .one_hot = one_hot,
                                       .keep_missing = spec->train.missing != MISSING_REFUSE}};
    return train_dataset_read(&files, ret, err);
}

static void print_accuracy(const char *name, double accuracy)
{
    if (!isnan(accuracy)) // regression has none
        printf("  %s %.2f %%", name, 100 * accuracy);
}

static void print_result(const struct train_result *result, const struct train_run *run,
                         const struct arguments *arguments)
{
    const struct queued_record *first = train_run_first(run), *last = train_run_last(run);
    if (first && last)
        train_view_gradients(stdout, &first->record, &last->record);
    printf("\nloss %.6g", result->loss);
    print_accuracy("accuracy", result->accuracy);
    if (!isnan(result->validation_loss))
        printf("  validation loss %.6g", result->validation_loss);
    print_accuracy("validation accuracy", result->validation_accuracy);
    printf("  %.1f s\n\nThe history is job %s in %s: nabla serve --data %s\n", result->seconds,
           train_run_job(run), arguments->out, arguments->out);
}

// Weights that come from a job are on a server; here a file brings them.
static enum nabla_code check_weights(const struct arguments *arguments, struct job_spec *spec,
                                     struct nabla_error *err)
{
    if (arguments->weights)
        spec->initial = (struct initial_weights){.kind = INITIAL_POSTED};
    else if (spec->initial.kind != INITIAL_NONE)
        return nabla_fail(
            err, NABLA_INVALID, "/initial_weights",
            "the weights are elsewhere: give --weights FILE, as GET /v1/jobs/{id}/model answers it");
    return NABLA_OK;
}

// What a container may take, or SIZE_MAX.
static size_t container_memory(void)
{
    size_t most = SIZE_MAX;
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re"); // "max" where there is no limit
    if (file && fscanf(file, "%zu", &most) != 1)
        most = SIZE_MAX;
    if (file)
        fclose(file);
    return most;
}

// Features that would take most of this machine's memory stay in their file, unless the spec says otherwise.
static enum nabla_code fit_memory(struct job_spec *spec, const struct dataset *dataset,
                                  struct nabla_error *err)
{
    struct train_cost cost;
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const size_t machine = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : SIZE_MAX,
                 container = container_memory(), memory = machine < container ? machine : container;
    return spec_fit(&spec->train, dataset, memory / 4 * 3, &cost, err);
}

static enum nabla_code begin(const struct arguments *arguments, struct job_spec *spec,
                             struct dataset **dataset, struct train_run **ret, struct nabla_error *err)
{
    if (arguments->resume)
        return train_run_resume(arguments->out, spec, dataset, ret, err);
    const char *name = arguments->dataset ? arguments->dataset : "";
    enum nabla_code code = read_spec(arguments, spec, err);
    if (!code)
        code = check_weights(arguments, spec, err);
    if (!code)
        code = read_dataset(arguments, spec, dataset, err);
    if (!code)
        code = spec_prepare(spec, *dataset, err);
    if (!code)
        code = fit_memory(spec, *dataset, err);
    return code ? code : train_run_new(arguments->out, spec, dataset, name, arguments->weights, ret, err);
}

static enum nabla_code train(const struct arguments *arguments, struct train_run *run,
                             const struct job_spec *spec, const struct dataset *dataset,
                             struct nabla_error *err)
{
    struct trainer *trainer = NULL;
    struct train_result result = {0};
    enum nabla_code code = trainer_new(&spec->train, dataset, &trainer, err);
    if (!code)
        code = train_run_begin(run, trainer, err);
    if (!code) {
        const struct train_observer observer = train_run_observer(run);
        code = trainer_run(trainer, &observer, &result, err);
    }
    code = train_run_end(run, code, &result, arguments->model, err);
    if (!code)
        print_result(&result, run, arguments);
    trainer_free(trainer);
    return code;
}

static int train_by_hand(const struct arguments *arguments)
{
    struct nabla_error err;
    struct job_spec spec = {0};
    struct dataset *dataset = NULL;
    struct train_run *run = NULL;
    char text[OUTCOME_TEXT_SIZE];
    enum nabla_code code = begin(arguments, &spec, &dataset, &run, &err);
    if (!code)
        code = train(arguments, run, &spec, dataset, &err);
    if (code == NABLA_CANCELLED)
        fprintf(stderr, "nabla train: interrupted at %s: nabla train --resume --out %s goes on\n",
                train_run_saved(run), arguments->out);
    else if (code)
        fprintf(stderr, "nabla train: %s\n", outcome_error_text(&err, text));
    train_run_free(run);
    dataset_free(dataset);
    job_spec_free(&spec);
    return code == NABLA_CANCELLED ? EXIT_INTERRUPTED : code ? EXIT_FAILED : EXIT_DONE;
}

int verb_train(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--worker") == 0)
        return worker_main();
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    struct arguments arguments;
    if (!arguments_read(argc, argv, &arguments)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return train_by_hand(&arguments);
}
