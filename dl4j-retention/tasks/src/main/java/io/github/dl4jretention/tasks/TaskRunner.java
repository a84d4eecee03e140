package io.github.dl4jretention.tasks;

import io.github.dl4jretention.lm.Generator;
import io.github.dl4jretention.lm.PromptHead;
import io.github.dl4jretention.tasks.file.Question;
import io.github.dl4jretention.tasks.file.TaskDefinition;
import io.github.dl4jretention.tasks.file.TaskDefinition.Writing;
import io.github.dl4jretention.tasks.file.TaskKind;
import io.github.dl4jretention.tasks.sandbox.CodeSandbox;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Asks a model the questions of one task. Questions are answered in batches of one length, which are the same however
 * often a run was killed: a batch that isn't whole in the journal is answered again, so numbers don't change.
 */
final class TaskRunner {

    /** Questions of a batch, at most. */
    private static final int ROWS = 16;

    /** Prompts that are written after at once. */
    private static final int WRITERS = 16;

    /** Prompts that lost their beginning. */
    private static final String CUT = "cut";

    /** Prompts that begin alike come together, and among them those of one length. */
    private static final Comparator<Ready> ORDER = Comparator.comparing(Ready::group)
            .thenComparing(ready -> ready.prompt().length)
            .thenComparing(Ready::question);

    /** Tokens of a batch that keys and values are kept of, at most. */
    private static final int TOKENS = 8192;

    private final TaskDefinition task;
    private final List<Question> questions;
    private final TaskModel model;
    private final Prompts prompts;
    private final @Nullable CodeSandbox sandbox;
    private final AnswerJournal journal;
    private final TaskListener listener;
    private final boolean shared;
    private final long started = System.nanoTime();
    private final int before;

    /**
     * @param prompts of the questions
     * @param sandbox for code; null for other kinds
     * @param shared  whether what prompts begin with is read once; false to compare with
     */
    TaskRunner(
            TaskDefinition task,
            List<Question> questions,
            TaskModel model,
            Prompts prompts,
            @Nullable CodeSandbox sandbox,
            AnswerJournal journal,
            TaskListener listener,
            boolean shared) {
        this.task = task;
        this.questions = questions;
        this.model = model;
        this.sandbox = sandbox;
        this.journal = journal;
        this.listener = listener;
        this.shared = shared;
        this.prompts = prompts;
        before = journal.answers().size();
    }

    void run() throws IOException {
        tell(Double.NaN);
        switch (task.kind()) {
            case MULTIPLE_CHOICE -> choose();
            case PERPLEXITY -> measure();
            case EXACT_MATCH, CODE, WIN_RATE -> write();
        }
    }

    private void tell(double left) {
        listener.onAnswers(task.name(), journal.answers().size(), questions.size(), left);
    }

    private void add(List<Answer> answers) throws IOException {
        journal.add(answers);
        int done = journal.answers().size() - before;
        double seconds = (System.nanoTime() - started) / 1e9;
        tell(
                done == 0
                        ? Double.NaN
                        : seconds / done * (questions.size() - journal.answers().size()));
    }

    /**
     * A prompt that is ready to be read.
     *
     * @param group same for prompts that begin with the same examples
     */
    private record Ready(int question, String group, int[] prompt, int[][] continuations, boolean truncated) {

        int longest() {
            return Arrays.stream(continuations).mapToInt(c -> c.length).max().orElse(0);
        }
    }

    private void choose() throws IOException {
        List<Ready> all = new ArrayList<>();
        List<Prompts.Choices> encoded = prompts.choices();
        for (int i = 0; i < questions.size(); i++) {
            Prompts.Choices choices = encoded.get(i);
            Ready whole = new Ready(i, prompts.group(i), choices.prompt(), choices.continuations(), false);
            all.add(truncated(whole, model.context() + 1 - whole.longest()));
        }
        all.sort(ORDER);
        Map<String, int[]> heads = new HashMap<>();
        byGroup(all).forEach((group, ready) -> heads.put(group, head(ready)));
        for (int from = 0; from < all.size(); ) {
            Ready first = all.get(from);
            int to = from;
            int tokens = 0;
            while (to < all.size()
                    && to - from < ROWS
                    && all.get(to).group().equals(first.group())
                    && all.get(to).prompt().length == first.prompt().length
                    && (to == from || tokens < TOKENS)) {
                tokens += (first.prompt().length + all.get(to).longest())
                        * all.get(to).continuations().length;
                to++;
            }
            List<Ready> batch = all.subList(from, to);
            if (!journal.has(batch.stream().map(Ready::question).toList())) {
                add(score(batch, Objects.requireNonNull(heads.get(first.group()))));
            }
            from = to;
        }
    }

    private Ready truncated(Ready ready, int most) throws IOException {
        if (most < 1) {
            throw new IOException(questions.get(ready.question()).place() + ": choices: expected at most "
                    + model.context() + " tokens, as many as the model's context, got " + ready.longest());
        }
        int[] prompt = ready.prompt();
        return prompt.length <= most
                ? ready
                : new Ready(
                        ready.question(),
                        CUT,
                        Arrays.copyOfRange(prompt, prompt.length - most, prompt.length),
                        ready.continuations(),
                        true);
    }

    /** In their order. */
    private static Map<String, List<Ready>> byGroup(List<Ready> all) {
        return all.stream().collect(Collectors.groupingBy(Ready::group, LinkedHashMap::new, Collectors.toList()));
    }

    /** What all prompts begin with, but for at least one token of each; nothing if nothing is shared. */
    private int[] head(List<Ready> ready) {
        int[] first = ready.get(0).prompt();
        int length = shared ? first.length - 1 : 0;
        for (Ready other : ready) {
            int[] prompt = other.prompt();
            int same = Arrays.mismatch(prompt, first);
            length = Math.min(length, same < 0 ? prompt.length - 1 : Math.min(same, prompt.length - 1));
        }
        return Arrays.copyOf(first, length);
    }

    private List<Answer> score(List<Ready> batch, int[] head) throws IOException {
        int[][] rests = batch.stream()
                .map(ready -> Arrays.copyOfRange(ready.prompt(), head.length, ready.prompt().length))
                .toArray(int[][]::new);
        int[][][] continuations = batch.stream().map(Ready::continuations).toArray(int[][][]::new);
        double[][][] scores = model.score(head, rests, continuations);
        List<Answer> answers = new ArrayList<>();
        for (int i = 0; i < scores.length; i++) {
            Ready ready = batch.get(i);
            List<Double> sums = new ArrayList<>();
            for (double[] tokens : scores[i]) {
                sums.add(finite(Arrays.stream(tokens).sum(), ready.question()));
            }
            answers.add(new Answer(ready.question(), sums, List.of(), List.of(), 0, ready.truncated()));
        }
        return answers;
    }

    private double finite(double value, int question) throws IOException {
        if (Double.isNaN(value)) {
            throw new IOException(questions.get(question).place()
                    + ": expected a log-probability from the model, got NaN; check its weights");
        }
        return value;
    }

    /**
     * Texts longer than the context are measured in windows, as lm-evaluation-harness 0.4.13 does: each token once, the
     * windows next to each other, and the last one with as much before it as the context allows.
     */
    private void measure() throws IOException {
        int most = model.context();
        for (int i = 0; i < questions.size(); i++) {
            if (journal.has(List.of(i))) {
                continue;
            }
            int[] text = model.tokenizer().encode(questions.get(i).text(), false);
            int[] all = new int[text.length + 1];
            all[0] = Prompts.beforeTexts(model.tokenizer());
            System.arraycopy(text, 0, all, 1, text.length);
            double sum = 0;
            for (int from = 1; from < all.length; from += most) {
                int to = Math.min(all.length, from + most);
                int start = Math.max(0, Math.min(from - 1, to - 1 - most));
                int[][] context = {Arrays.copyOfRange(all, start, from)};
                int[][][] rest = {{Arrays.copyOfRange(all, from, to)}};
                sum += Arrays.stream(model.score(new int[0], context, rest)[0][0])
                        .sum();
            }
            add(List.of(new Answer(i, List.of(finite(sum, i)), List.of(), List.of(), text.length, false)));
        }
    }

    /** {@return tokens that are written, at most: no more than half of the context, so that a prompt has room} */
    static int longest(Writing writing, TaskModel model) {
        return Math.min(writing.maxTokens(), model.context() / 2);
    }

    private void write() throws IOException {
        Writing writing = Objects.requireNonNull(task.writing());
        int tokens = longest(writing, model);
        List<Ready> all = new ArrayList<>();
        for (int i = 0; i < questions.size(); i++) {
            Ready whole = new Ready(i, prompts.group(i), prompts.encoded(prompts.text(i)), new int[0][], false);
            all.add(truncated(whole, model.context() - tokens));
        }
        all.sort(ORDER);
        Generator generator = model.generator()
                .temperature(writing.temperature())
                .topP(writing.topP())
                .maxTokens(tokens)
                .stop(writing.stops().toArray(String[]::new));
        int rows = writing.samples() > 1 ? 1 : WRITERS;
        for (List<Ready> group : byGroup(all).values()) {
            List<List<Ready>> batches = new ArrayList<>();
            for (int from = 0; from < group.size(); from += rows) {
                batches.add(group.subList(from, Math.min(group.size(), from + rows)));
            }
            batches.removeIf(
                    batch -> journal.has(batch.stream().map(Ready::question).toList()));
            if (!batches.isEmpty()) {
                try (PromptHead head = generator.read(head(group))) {
                    for (List<Ready> batch : batches) {
                        add(answers(batch, written(generator, head, batch)));
                    }
                }
            }
        }
    }

    /** {@return of each question its samples} Seeds follow from the first question's number, so a resumed run draws the same. */
    private List<List<String>> written(Generator generator, PromptHead head, List<Ready> batch) {
        Writing writing = Objects.requireNonNull(task.writing());
        int samples = writing.samples();
        long seed = writing.seed() + (long) batch.get(0).question() * samples;
        if (samples == 1) {
            return generator
                    .seed(seed)
                    .generateAfter(head, batch.stream().map(Ready::prompt).toList())
                    .stream()
                    .map(List::of)
                    .toList();
        }
        List<String> texts = new ArrayList<>();
        for (int done = 0; done < samples; done += WRITERS) {
            int count = Math.min(WRITERS, samples - done);
            texts.addAll(generator
                    .seed(seed + done)
                    .generateAfter(head, Collections.nCopies(count, batch.get(0).prompt())));
        }
        return List.of(texts);
    }

    private List<Answer> answers(List<Ready> batch, List<List<String>> texts) throws IOException {
        List<Answer> answers = new ArrayList<>();
        for (int i = 0; i < batch.size(); i++) {
            Ready ready = batch.get(i);
            List<Double> passed = new ArrayList<>();
            List<String> notes = new ArrayList<>();
            for (String text : task.kind() == TaskKind.CODE ? texts.get(i) : List.<String>of()) {
                Question question = questions.get(ready.question());
                CodeSandbox.Outcome outcome = Objects.requireNonNull(sandbox)
                        .run(question.text() + text + "\n" + question.answers().get(0) + "\ncheck("
                                + question.answers().get(1) + ")");
                passed.add(outcome.passed() ? 1.0 : 0.0);
                notes.add(outcome.reason());
            }
            answers.add(new Answer(ready.question(), passed, texts.get(i), notes, 0, ready.truncated()));
        }
        return answers;
    }
}
