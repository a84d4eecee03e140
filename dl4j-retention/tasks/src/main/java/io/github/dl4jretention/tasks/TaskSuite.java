package io.github.dl4jretention.tasks;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.FolderLock;
import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.tasks.file.Question;
import io.github.dl4jretention.tasks.file.QuestionReader;
import io.github.dl4jretention.tasks.file.TaskDefinition;
import io.github.dl4jretention.tasks.file.TaskDefinition.Writing;
import io.github.dl4jretention.tasks.file.TaskKind;
import io.github.dl4jretention.tasks.sandbox.CodeSandbox;
import io.github.dl4jretention.teacher.NetworkIdentity;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ArrayNode;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tasks that a model is asked before and after it's tuned.
 *
 * <pre>{@code
 * TaskSuite suite = TaskSuite.of(folder);                 // a .yaml file for each task, and files of questions
 * TaskReport before = suite.run(model);
 * TaskReport after = suite.run(model.withNetwork(tuned));
 * System.out.println(after.compare(before).table());
 * }</pre>
 *
 * <p>Nothing is downloaded: questions are read from files as they are published. Settings give a new suite; this one stays
 * as it is.
 */
public final class TaskSuite {

    private static final Logger LOG = LoggerFactory.getLogger(TaskSuite.class);

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private final Map<TaskDefinition, List<Question>> tasks;
    private final @Nullable Path out;
    private final @Nullable CodeSandbox sandbox;
    private final TaskListener listener;
    private final boolean shared;

    private TaskSuite(
            Map<TaskDefinition, List<Question>> tasks,
            @Nullable Path out,
            @Nullable CodeSandbox sandbox,
            TaskListener listener,
            boolean shared) {
        this.tasks = tasks;
        this.out = out;
        this.sandbox = sandbox;
        this.listener = listener;
        this.shared = shared;
    }

    /**
     * {@return the tasks of a folder} All files are read and checked at once.
     *
     * @param folder with a {@code .yaml} or {@code .yml} file for each task
     * @throws IOException if there's none, two have the same name, or a file doesn't fit; the message names the file and
     *     the line
     */
    public static TaskSuite of(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            throw new IOException("folder: expected a folder with a .yaml file for each task, got " + folder);
        }
        List<Path> files;
        try (Stream<Path> all = Files.list(folder)) {
            files = all.filter(file -> file.toString().matches(".*\\.ya?ml"))
                    .sorted()
                    .toList();
        }
        if (files.isEmpty()) {
            throw new IOException("folder: expected a .yaml file for each task, got none in " + folder);
        }
        Map<TaskDefinition, List<Question>> tasks = new TreeMap<>(Comparator.comparing(TaskDefinition::name));
        for (Path file : files) {
            TaskDefinition task = TaskDefinition.read(file);
            if (!task.name().matches("[\\p{L}\\p{N}][\\p{L}\\p{N} ._+-]*")) {
                throw new IOException(
                        file + ":1: name: expected letters, digits, spaces and ._+- only, got " + task.name());
            }
            if (tasks.put(task, QuestionReader.read(task)) != null) {
                throw new IOException(file + ":1: name: expected another name than other tasks, got " + task.name());
            }
        }
        return new TaskSuite(tasks, null, null, (task, answered, questions, left) -> {}, true);
    }

    /**
     * {@return the same suite that keeps answers in a folder} A run that was killed and is started again goes on where it
     * was, and ends with the same report. The folder gets {@code answers}, {@value TaskReport#FILE}, and for win rates
     * {@code outputs} to give to a judge.
     *
     * @param folder of one model; made if it isn't there
     */
    public TaskSuite out(Path folder) {
        return new TaskSuite(tasks, Objects.requireNonNull(folder, "folder"), sandbox, listener, shared);
    }

    /**
     * {@return the same suite that may run programs that the model writes} Without, tasks of code are refused. Read {@link
     * CodeSandbox} first.
     *
     * @param programs runs them
     */
    public TaskSuite allowCode(CodeSandbox programs) {
        return new TaskSuite(tasks, out, Objects.requireNonNull(programs, "programs"), listener, shared);
    }

    /**
     * {@return the same suite that says how it gets on}
     *
     * @param told after each batch of answers
     */
    public TaskSuite listener(TaskListener told) {
        return new TaskSuite(tasks, out, sandbox, Objects.requireNonNull(told, "told"), shared);
    }

    /** Reads each prompt as a whole, to compare with. */
    TaskSuite withoutSharedPrefixes() {
        return new TaskSuite(tasks, out, sandbox, listener, false);
    }

    /** {@return the tasks, by their names} */
    public List<TaskDefinition> tasks() {
        return List.copyOf(tasks.keySet());
    }

    /** {@return whether a task runs programs that the model writes} */
    public boolean runsCode() {
        return tasks.keySet().stream().anyMatch(task -> task.kind() == TaskKind.CODE);
    }

    /**
     * {@return what a model of a folder does}
     *
     * @param model with a tokenizer
     * @throws IOException as {@link #run(TaskModel, String)} does
     */
    public TaskReport run(LanguageModel model) throws IOException {
        try (TaskModel asked = TaskModel.of(model)) {
            return run(asked, "model");
        }
    }

    /**
     * {@return what a model does}
     *
     * @param model any
     * @param name  of it, for the report
     * @throws IOException           if a file can't be read or written, if the folder has another model's answers, or if a
     *     question doesn't fit the model; the message names the file
     * @throws IllegalStateException if a task runs code and {@link #allowCode} wasn't called
     */
    public TaskReport run(TaskModel model, String name) throws IOException {
        if (runsCode() && sandbox == null) {
            throw new IllegalStateException(
                    "code: expected permission to run programs that the model writes, as the task "
                            + tasks.keySet().stream()
                                    .filter(task -> task.kind() == TaskKind.CODE)
                                    .findFirst()
                                    .map(TaskDefinition::name)
                                    .orElseThrow()
                            + " does, got none; call allowCode, or run it with --allow-code");
        }
        if (out == null) {
            return report(model, name, null);
        }
        Files.createDirectories(out.resolve("answers"));
        try (FolderLock lock = FolderLock.of(out, "tasks")) {
            TaskReport report = report(model, name, out);
            report.write(out);
            return report;
        }
    }

    private TaskReport report(TaskModel model, String name, @Nullable Path folder) throws IOException {
        List<TaskResult> results = new ArrayList<>();
        String identity = model.sha256();
        for (Map.Entry<TaskDefinition, List<Question>> entry : tasks.entrySet()) {
            TaskDefinition task = entry.getKey();
            List<Question> questions = entry.getValue();
            LOG.info("{}: {} questions", task.name(), questions.size());
            Prompts prompts = new Prompts(task, questions, model.tokenizer());
            Path file = folder == null ? null : folder.resolve("answers").resolve(task.name() + ".jsonl");
            try (AnswerJournal journal = new AnswerJournal(file, identity(identity, model, task, questions, prompts))) {
                new TaskRunner(task, questions, model, prompts, sandbox, journal, listener, shared).run();
                Marking marking = new Marking(task);
                if (task.kind() == TaskKind.CODE
                        && !Objects.requireNonNull(sandbox).isIsolated()) {
                    marking.note("programs were not isolated");
                }
                Writing writing = task.writing();
                if (writing != null && TaskRunner.longest(writing, model) < writing.maxTokens()) {
                    marking.note("answers end after " + TaskRunner.longest(writing, model)
                            + " tokens, half of the context, not after " + writing.maxTokens());
                }
                results.add(marking.result(questions, journal.answers(), prompts));
                if (folder != null && task.kind() == TaskKind.WIN_RATE) {
                    writeOutputs(folder, task, questions, journal.answers(), name);
                }
            }
        }
        return new TaskReport(name, results);
    }

    /** Everything by which answers may differ, in one line. */
    private static String identity(
            String model, TaskModel asked, TaskDefinition task, List<Question> questions, Prompts prompts) {
        List<String> parts = new ArrayList<>(List.of(model, Integer.toString(asked.context()), task.answering()));
        for (int i = 0; i < questions.size(); i++) {
            Question question = questions.get(i);
            parts.add(prompts.text(i) + "\n" + question.choices() + "\n"
                    + (task.kind() == TaskKind.CODE ? question.answers() : ""));
        }
        return "{\"answers\":\"" + NetworkIdentity.sha256(parts) + "\"}";
    }

    /** As AlpacaEval reads them. */
    private static void writeOutputs(
            Path folder, TaskDefinition task, List<Question> questions, Map<Integer, Answer> answers, String model)
            throws IOException {
        ArrayNode outputs = MAPPER.createArrayNode();
        for (int i = 0; i < questions.size(); i++) {
            outputs.addObject()
                    .put("instruction", questions.get(i).text())
                    .put(
                            "output",
                            Objects.requireNonNull(answers.get(i)).texts().get(0))
                    .put("generator", model);
        }
        byte[] json = MAPPER.writerWithDefaultPrettyPrinter()
                .writeValueAsString(outputs)
                .getBytes(StandardCharsets.UTF_8);
        Files.createDirectories(folder.resolve("outputs"));
        AtomicFile.write(folder.resolve("outputs").resolve(task.name() + ".json"), stream -> stream.write(json));
    }
}
