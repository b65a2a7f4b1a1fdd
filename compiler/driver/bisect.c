/* cvmc bisect: finds the first pass, and then its first application, with which a command fails, or
 * with which the model computes something else than without any pass, by halving, as git bisect run
 * finds a commit.
 *
 * Every trial is a process of its own, so that a crash is an answer, too. A command (--bad) is
 * run by the shell with CVM_PASSES and CVM_PASS_LIMIT in its environment, which every cvmc reads,
 * and with {} in its text replaced by the same as options. It says good with exit code 0, bad with
 * 1 to 124 or by crashing; 125 (cannot be tested), 126 and 127 (the shell cannot run it) and
 * anything else end the search. What trials print goes to one new folder. */
#include "compiler/driver/ab/agreement.h"
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/driver/session.h"
#include "compiler/training_graph.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum Answer { GOOD, BAD, NONE } Answer;

typedef struct Search {
    CvmSession *session;
    const char *folder;
    int trials;
} Search;

/* The command line's passes up to the `count`th, of which the last applies `limit` times. */
static CvmPassChoice cut_choice(const Search *search, int count, int limit) {
    CvmPassChoice choice = search->session->compile.passes;
    choice.count = count;
    if (limit < INT_MAX)
        choice.limits[choice.order[count - 1]] = limit;
    return choice;
}

static const char *options_text(const CvmPassChoice *choice, CvmArena *arena) {
    const char *limits = cvm_pass_limits_text(choice, arena);
    return cvm_arena_format(arena, "--passes=%s%s%s", cvm_pass_choice_text(choice, arena),
                            limits ? " --pass-limit=" : "", limits ? limits : "");
}

/* The command with {} replaced. */
static const char *fill_in(const char *command, const char *options, CvmArena *arena) {
    const char *text = "", *place;
    while ((place = strstr(command, "{}"))) {
        text = cvm_arena_format(arena, "%s%.*s%s", text, (int)(place - command), command, options);
        command = place + 2;
    }
    return cvm_arena_format(arena, "%s%s", text, command);
}

static void run_command(const CvmPassChoice *choice, const char *command, CvmArena *arena) {
    const char *limits = cvm_pass_limits_text(choice, arena);
    setenv("CVM_PASSES", cvm_pass_choice_text(choice, arena), 1);
    if (limits)
        setenv("CVM_PASS_LIMIT", limits, 1);
    else
        unsetenv("CVM_PASS_LIMIT");
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(125);
}

/* What ab is told to compile with a choice of passes. */
static const char *settings_text(const CvmPassChoice *choice, CvmArena *arena) {
    const char *limits = cvm_pass_limits_text(choice, arena);
    return cvm_arena_format(arena, "passes=%s%s%s", cvm_pass_choice_text(choice, arena),
                            limits ? " limit=" : "", limits ? limits : "");
}

/* Exit code of a trial that compares the model's results with those of no pass at all. */
static int compare_results(CvmSession *session, const CvmPassChoice *choice) {
    CvmAbSide sides[2];
    CvmAbAgreement agreement;
    bool compiled = cvm_ab_settings(session, settings_text(choice, session->arena), &sides[0]) &&
                    cvm_ab_settings(session, "none", &sides[1]) && cvm_ab_compile(session, sides);
    if (!compiled)
        return BAD;
    if (!cvm_ab_compare(session, sides, cvm_ab_tolerance(session->options), &agreement))
        return 125;
    for (int i = 0; i < agreement.count; i++) {
        const CvmAbDifference *difference = &agreement.differences[i];
        printf("%s %s: largest difference %.3g, relative %.3g%s\n",
               cvm_ab_kind_text(difference->kind), difference->name, difference->absolute,
               difference->relative, difference->agrees ? "" : ", DIFFERS");
    }
    fflush(stdout);
    return agreement.agrees ? GOOD : BAD;
}

static void run_child(Search *search, const CvmPassChoice *choice, const char *output) {
    CvmSession *session = search->session;
    const char *bad = session->options->bad;
    int file = open(output, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (file < 0 || dup2(file, STDOUT_FILENO) < 0 || dup2(file, STDERR_FILENO) < 0)
        _exit(125);
    if (bad)
        run_command(choice, fill_in(bad, options_text(choice, session->arena), session->arena),
                    session->arena);
    _exit(compare_results(session, choice));
}

static bool is_crash(int signal) {
    return signal == SIGSEGV || signal == SIGABRT || signal == SIGBUS || signal == SIGILL ||
           signal == SIGFPE;
}

/* What the way a process ended says; a shell gives 128 + signal for a command that crashed. */
static Answer answer_of(int status) {
    if (WIFSIGNALED(status))
        return is_crash(WTERMSIG(status)) ? BAD : NONE;
    int code = WEXITSTATUS(status);
    if ((code >= 125 && code <= 127) || (code >= 128 && !is_crash(code - 128)))
        return NONE;
    return code ? BAD : GOOD;
}

/* Makes a trial under the choice of passes. NONE: it could not tell (reported). */
static Answer try_choice(Search *search, const CvmPassChoice *choice) {
    static const char *const texts[] = {[GOOD] = "good", [BAD] = "bad ", [NONE] = "?   "};
    CvmArena *arena = search->session->arena;
    const char *output = cvm_arena_format(arena, "%s/%02d.out", search->folder, ++search->trials);
    fflush(NULL);
    pid_t child = fork(), ended;
    if (child == 0)
        run_child(search, choice, output);
    int status;
    do
        ended = child < 0 ? -1 : waitpid(child, &status, 0);
    while (ended < 0 && child > 0 && errno == EINTR);
    Answer answer = ended < 0 ? NONE : answer_of(status);
    printf("%2d %s %s\n", search->trials, texts[answer], options_text(choice, arena));
    fflush(stdout);
    if (answer == NONE)
        cvm_session_refuse(search->session, CVM_EXIT_INPUT,
                           "the trial ended in a way that says neither good nor bad; %s has "
                           "what it printed",
                           output);
    return answer;
}

static Answer try_cut(Search *search, int count, int limit) {
    CvmPassChoice choice = cut_choice(search, count, limit);
    return try_choice(search, &choice);
}

/* How often the last pass of the choice applies to the model: in the training step or forward,
 * whichever is more. The remark that tells of application `number`, if any, is printed. */
static bool count_applications(Search *search, int count, int *most, int number) {
    CvmSession *session = search->session;
    CvmPassChoice whole = session->compile.passes;
    bool done = true;
    *most = 0;
    session->compile.passes = cut_choice(search, count, INT_MAX);
    for (int training = 0; training <= (session->train && !session->options->forward) && done;
         training++) {
        int64_t batch = session->options->batch ? session->options->batch
                        : session->train        ? cvm_train_part(session->train)
                                                : 1;
        CvmGraph *graph =
            training
                ? cvm_training_graph(session->train, batch, session->arena, &session->diag)
                : cvm_inference_graph(session->model, batch, true, session->arena, &session->diag);
        CvmPassLog log = cvm_pass_log(session->arena);
        done = graph ? cvm_session_run_passes(session, graph, &log)
                     : cvm_session_fail_compile(session);
        if (!done || !log.report_count)
            continue;
        const CvmPassReport *report = &log.reports[log.report_count - 1];
        *most = report->applications > *most ? report->applications : *most;
        for (const CvmRemark *remark = log.first; remark; remark = remark->next)
            if (number && remark->application == number && !strcmp(remark->pass, report->pass)) {
                printf("    %s: ", training ? "training" : "forward");
                cvm_remark_print(remark, stdout);
            }
    }
    session->compile.passes = whole;
    return done;
}

/* The least number in (good, bad] that try says is bad, when good is good and bad is bad; -1 when
 * there was no answer. count 0: halves the passes, else the applications of the count-th. */
static int halve(Search *search, int count, int good, int bad) {
    while (bad - good > 1) {
        int middle = good + (bad - good) / 2;
        Answer answer = count ? try_cut(search, count, middle) : try_cut(search, middle, INT_MAX);
        if (answer == NONE)
            return -1;
        *(answer == BAD ? &bad : &good) = middle;
    }
    return bad;
}

/* The command that compares the results under a choice of passes with those under none. */
static const char *comparison_text(const Search *search, const CvmPassChoice *choice) {
    const CvmSession *session = search->session;
    CvmArena *arena = session->arena;
    return cvm_arena_format(
        arena, "cvmc ab %s --a %s --b none --time 1%s", cvm_shell_word(session->file, arena),
        cvm_shell_quoted(settings_text(choice, arena), arena),
        cvm_options_text(session->options, CVM_OPTIONS_TRIAL | CVM_OPTION_TOLERANCE, arena));
}

static void print_pair(const Search *search, const CvmPassChoice *good, const CvmPassChoice *bad) {
    CvmArena *arena = search->session->arena;
    const CvmPassChoice *choices[] = {good, bad};
    for (int i = 0; i < 2 && !search->session->options->bad; i++)
        printf("%s: %s\n", i ? "bad " : "good", comparison_text(search, choices[i]));
    for (int i = 0; i < 2 && search->session->options->bad; i++) {
        const char *limits = cvm_pass_limits_text(choices[i], arena);
        const char *command =
            fill_in(search->session->options->bad, options_text(choices[i], arena), arena);
        printf("%s: %s%s%sCVM_PASSES=%s sh -c %s\n", i ? "bad " : "good",
               limits ? "CVM_PASS_LIMIT=" : "", limits ? limits : "", limits ? " " : "",
               cvm_pass_choice_text(choices[i], arena), cvm_shell_quoted(command, arena));
    }
}

static bool search_application(Search *search, int count) {
    const char *pass = cvm_passes(&(int){0})[search->session->compile.passes.order[count - 1]].name;
    int most;
    if (!count_applications(search, count, &most, 0))
        return false;
    CvmPassChoice without = cut_choice(search, count, 0), with = cut_choice(search, count, most);
    if (most == 0 || try_choice(search, &without) != GOOD || try_choice(search, &with) != BAD) {
        printf("\nthe first bad pass is %s; its applications to %s do not tell "
               "which\n",
               pass, cvm_model_name(search->session->model));
        without = cut_choice(search, count - 1, INT_MAX);
        with = cut_choice(search, count, INT_MAX);
        print_pair(search, &without, &with);
        return search->session->status == CVM_EXIT_DONE;
    }
    int number = halve(search, count, 0, most);
    if (number < 0)
        return false;
    printf("\nthe first bad pass is %s, in its application %d of %d:\n", pass, number, most);
    without = cut_choice(search, count, number - 1);
    with = cut_choice(search, count, number);
    if (!count_applications(search, count, &most, number))
        return false;
    print_pair(search, &without, &with);
    return true;
}

static bool search_pass(Search *search) {
    int all = search->session->compile.passes.count;
    Answer none = try_cut(search, 0, INT_MAX), every = NONE;
    if (none != NONE)
        every = try_cut(search, all, INT_MAX);
    if (none == NONE || every == NONE)
        return false;
    if (none == BAD || every == GOOD)
        return cvm_session_refuse(search->session, CVM_EXIT_INPUT,
                                  !search->session->options->bad
                                      ? "all these passes together change no result by more than "
                                        "the tolerance"
                                  : none == BAD
                                      ? "the command fails without any pass, too"
                                      : "the command does not fail with all these passes");
    int count = halve(search, 0, 0, all);
    return count > 0 && search_application(search, count);
}

int cvm_command_bisect(const CvmOptions *options) {
    if (options->bad && options->given & CVM_OPTION_TOLERANCE) {
        cvm_report_error("--tolerance is for comparing results, which --bad does not");
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    if (cvm_session_open(&session, options) && cvm_session_need_model(&session)) {
        char folder[CVM_PATH_SIZE];
        cvm_session_stem(&session, "-bisect", folder);
        Search search = {.session = &session, .folder = options->output ? options->output : folder};
        if (!options->bad && !cvm_cpu_runs_here(session.compile.cpu, &session.diag))
            cvm_session_fail_compile(&session); /* no crash that a pass could be blamed for */
        else if (mkdir(search.folder, 0777) != 0)
            cvm_session_refuse(&session, CVM_EXIT_MACHINE, "cannot make the folder %s: %s",
                               search.folder, strerror(errno));
        else
            search_pass(&search);
    }
    return cvm_session_close(&session);
}
