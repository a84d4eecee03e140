package io.github.dl4jretention.samples;

import io.github.dl4jretention.lm.Tokenizer;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.tasks.TaskComparison;
import io.github.dl4jretention.tasks.TaskListener;
import io.github.dl4jretention.tasks.TaskModel;
import io.github.dl4jretention.tasks.TaskReport;
import io.github.dl4jretention.tasks.TaskResult;
import io.github.dl4jretention.tasks.TaskSuite;
import io.github.dl4jretention.tasks.file.TaskDefinition;
import io.github.dl4jretention.tasks.sandbox.CodeSandbox;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Asks a model the tasks of a folder, and compares it with models that were asked before. */
@Command(
        name = "evaluate",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description = {
            "Asks a language model the tasks of a folder, and says what it can do.",
            "With --before it compares it with the model as it was before it was tuned."
        })
public final class Evaluate implements Callable<Integer> {

    private static final int LINES = 10;

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--model",
            paramLabel = "DIR|FILE",
            required = true,
            description =
                    "Folder with config.json, model.safetensors or its shards, and tokenizer.json. Or a byte-level"
                            + " MultiLayerNetwork saved by DL4J.")
    private Path model;

    @Option(
            names = "--tasks",
            paramLabel = "DIR",
            required = true,
            description = "Folder with a .yaml file for each task; docs/tasks.md says what's in it.")
    private Path tasks;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            required = true,
            description = "Where answers and the report go. If it's killed, run the same command again.")
    private Path out;

    @Option(names = "--name", description = "Of the model in reports. Default: the name of --model.")
    private @Nullable String name;

    @Option(
            names = "--before",
            paramLabel = "DIR",
            description = "--out of the model before it was tuned. The comparison goes to --out, too.")
    private @Nullable Path before;

    @Option(
            names = "--beside",
            paramLabel = "DIR",
            arity = "1..*",
            showDefaultValue = CommandLine.Help.Visibility.NEVER,
            description = "--out of other tuned models, for the same comparison; plain finetuning comes first.")
    private List<Path> beside = List.of();

    @Option(
            names = "--context",
            converter = Errors.Count.class,
            description = "Tokens that a model of a file takes at most; a folder says it itself.")
    private int context = 256;

    @Option(
            names = "--allow-code",
            description = "Runs programs that the model writes, for tasks of code. Read docs/tasks.md first.")
    private boolean allowCode;

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new Evaluate()));
    }

    @Override
    public Integer call() throws IOException {
        Errors.require(spec, Files.isDirectory(tasks), "--tasks: expected a folder, got " + tasks);
        Errors.require(spec, before != null || beside.isEmpty(), "--before: expected a folder, as --beside is there");
        TaskSuite suite = TaskSuite.of(tasks).out(out).listener(progress());
        if (suite.runsCode()) {
            Errors.require(
                    spec,
                    allowCode,
                    "--allow-code: expected it, as a task runs programs that the model writes; read docs/tasks.md first");
            CodeSandbox sandbox = CodeSandbox.create();
            System.err.println(
                    sandbox.isIsolated()
                            ? "programs run without network and without your files"
                            : "warning: this system can't isolate programs: they can read, change and delete your files, end"
                                    + " your processes and use the network (if you're root, they do so as nobody)");
            suite = suite.allowCode(sandbox);
        }
        String own =
                name == null ? String.valueOf(model.toAbsolutePath().normalize().getFileName()) : name;
        List<TaskReport> others = new ArrayList<>();
        TaskReport base = before == null ? null : read("--before", before, suite, own);
        for (Path other : beside) {
            others.add(read("--beside", other, suite, own));
        }
        TaskReport report;
        try (TaskModel asked = asked()) {
            report = suite.run(asked, own);
        }
        System.out.print(report.table());
        if (base != null) {
            others.add(report);
            TaskComparison comparison = TaskComparison.of(base, others);
            comparison.write(out);
            System.out.println();
            System.out.print(comparison.table());
            System.out.println("answers that changed: " + out.resolve("comparison.html"));
        }
        return CommandLine.ExitCode.OK;
    }

    /** Checked before hours are spent on a report that couldn't be compared with it. */
    private TaskReport read(String option, Path folder, TaskSuite suite, String own) {
        TaskReport report;
        try {
            report = TaskReport.read(folder);
        } catch (IOException e) {
            throw new ParameterException(
                    spec.commandLine(),
                    option + ": " + String.valueOf(e.getMessage()).replaceFirst("^folder: ", ""),
                    e);
        }
        List<String> names = suite.tasks().stream().map(TaskDefinition::name).toList();
        List<String> found = report.tasks().stream().map(TaskResult::task).toList();
        Errors.require(
                spec,
                found.equals(names),
                option + ": expected a report of the tasks " + names + ", got one of " + found + " in " + folder);
        Errors.require(
                spec,
                !report.model().equals(own),
                "--name: expected another name than that of the report in " + folder + ", got " + own);
        return report;
    }

    private TaskModel asked() throws IOException {
        if (Files.isDirectory(model)) {
            return TaskModel.of(ModelOption.load(spec, model));
        }
        return TaskModel.of(ModelOption.network(spec, model), Tokenizer.bytes(), context);
    }

    /** A line every tenth of the way of each task. */
    private static TaskListener progress() {
        return new TaskListener() {

            private String last = "";
            private int tenths = -1;

            @Override
            public void onAnswers(String task, int answered, int questions, double left) {
                int now = LINES * answered / questions;
                if (!task.equals(last) || now != tenths) {
                    String rest = Double.isNaN(left) ? "" : ", " + Math.round(left) + " s left";
                    System.err.println(task + ": " + answered + " of " + questions + " questions" + rest);
                }
                last = Objects.requireNonNull(task);
                tenths = now;
            }
        };
    }
}
