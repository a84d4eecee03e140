package io.github.dl4jretention.samples.experiment;

import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.samples.console.Progress;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.tasks.TaskComparison;
import io.github.dl4jretention.tasks.TaskModel;
import io.github.dl4jretention.tasks.TaskReport;
import io.github.dl4jretention.tasks.TaskResult.MarkedAnswer;
import io.github.dl4jretention.tasks.TaskSuite;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;

/**
 * What the models of an experiment answer, before and after.
 *
 * @param comparison of the base and of every finetuned model
 */
public record Questions(TaskComparison comparison) {

    /** Questions whose answers are shown. */
    private static final int SHOWN = 3;

    /**
     * Asks the base and every finetuned model.
     *
     * @throws IOException if a question doesn't fit the model; the message names the file
     */
    public static Questions ask(TaskSuite suite, TextModel base, Experiment.Outcome outcome) throws IOException {
        try (Progress progress = new Progress("questions", 1 + outcome.runs().size())) {
            TaskReport before = ask(suite, base, base.network(), base.folder(), "base", progress);
            List<TaskReport> after = new ArrayList<>();
            for (Run run : outcome.runs()) {
                after.add(ask(suite, base, run.network(), run.folder(), run.name(), progress));
            }
            return new Questions(TaskComparison.of(before, after));
        }
    }

    private static TaskReport ask(
            TaskSuite suite,
            TextModel base,
            MultiLayerNetwork network,
            @Nullable LanguageModel folder,
            String name,
            Progress progress)
            throws IOException {
        try (TaskModel asked =
                folder == null ? TaskModel.of(network, base.tokenizer(), base.window()) : TaskModel.of(folder)) {
            TaskReport report = suite.run(asked, name);
            progress.step(() -> name);
            return report;
        }
    }

    /** The table for the screen, and some answers that plain finetuning lost. */
    public String table() {
        StringBuilder table = new StringBuilder(comparison.table());
        table.append("Right answers in percent, with standard errors; p is that of the change from the base.\n");
        TaskReport plain = comparison.models().get(0);
        comparison.base().tasks().stream()
                .flatMap(task -> comparison.change(plain, task.task()).lost().stream()
                        .map(flip -> answers(task.task(), flip.before())))
                .limit(SHOWN)
                .forEach(table::append);
        return table.toString();
    }

    private String answers(String task, MarkedAnswer asked) {
        StringBuilder text = new StringBuilder("%n%s%n".formatted(asked.asked()));
        Stream.concat(Stream.of(comparison.base()), comparison.models().stream())
                .forEach(model -> text.append("    %-20s %s%n"
                        .formatted(
                                model.model(),
                                model.task(task).questions().stream()
                                        .filter(question -> question.id().equals(asked.id()))
                                        .map(question -> question.answer().strip())
                                        .findFirst()
                                        .orElse(""))));
        return text.toString();
    }

    /** Writes {@code comparison.csv}, and {@code comparison.html} with all answers that changed. */
    public void write(Path folder) throws IOException {
        Files.createDirectories(folder);
        comparison.write(folder);
    }
}
