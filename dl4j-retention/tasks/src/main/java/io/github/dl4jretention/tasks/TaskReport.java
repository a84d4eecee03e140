package io.github.dl4jretention.tasks;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.tasks.metric.Estimate;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonProperty;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * What a model did in the tasks of a suite. It has no times in it: the same model gives the same report.
 *
 * @param model name of the model
 * @param tasks in the order of their names
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public record TaskReport(@JsonProperty("model") String model, @JsonProperty("tasks") List<TaskResult> tasks) {

    /** The report's file in a folder. */
    public static final String FILE = "report.json";

    private static final double LARGE = 1e6;

    private static final ObjectMapper MAPPER = new ObjectMapper();

    /**
     * {@return the result of a task}
     *
     * @param task its name
     * @throws IllegalArgumentException if there's none; the message lists those that there are
     */
    public TaskResult task(String task) {
        return tasks.stream()
                .filter(result -> result.task().equals(task))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("task: expected one of "
                        + tasks.stream().map(TaskResult::task).toList() + ", got " + task));
    }

    /**
     * {@return what this model learned and forgot} Two models of the same name are called {@code before} and {@code
     * after}.
     *
     * @param before of the model as it was before it was tuned, in the same tasks
     * @throws IllegalArgumentException if its tasks or questions are others
     */
    public TaskComparison compare(TaskReport before) {
        return before.model().equals(model)
                ? TaskComparison.of(before.withModel("before"), List.of(withModel("after")))
                : TaskComparison.of(before, List.of(this));
    }

    /**
     * {@return the same report with another name of the model}
     *
     * @param name of it
     */
    public TaskReport withModel(String name) {
        return new TaskReport(Objects.requireNonNull(name, "name"), tasks);
    }

    /**
     * Writes {@value #FILE}, all answers included.
     *
     * @param folder that is there
     * @throws IOException if it can't be written
     */
    public void write(Path folder) throws IOException {
        byte[] json =
                MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(this).getBytes(StandardCharsets.UTF_8);
        AtomicFile.write(folder.resolve(FILE), out -> out.write(json));
    }

    /**
     * {@return a report that was written}
     *
     * @param folder with {@value #FILE}
     * @throws IOException if it can't be read
     */
    public static TaskReport read(Path folder) throws IOException {
        Path file = folder.resolve(FILE);
        if (!Files.isReadable(file)) {
            throw new IOException("folder: expected a report in it, got no " + file);
        }
        try {
            return MAPPER.readValue(file.toFile(), TaskReport.class);
        } catch (JsonProcessingException e) {
            throw new IOException("folder: expected a report, got " + file + ": " + e.getOriginalMessage(), e);
        }
    }

    /** Perplexities of a model that has learned nothing have many digits; what's unknown is a dash. */
    static String number(double value, int decimals) {
        return Double.isNaN(value)
                ? "-"
                : String.format(Locale.ROOT, "%." + decimals + (Math.abs(value) < LARGE ? "f" : "e"), value);
    }

    static String questions(int count) {
        return count + (count == 1 ? " question" : " questions");
    }

    /** {@return all metrics as lines: task, metric, value, standard error, questions} */
    public String table() {
        StringBuilder table = new StringBuilder();
        for (TaskResult task : tasks) {
            for (Map.Entry<String, Estimate> metric : task.metrics().entrySet()) {
                table.append(String.format(
                        Locale.ROOT,
                        "%-24s %-28s %10s +- %s%n",
                        task.task(),
                        metric.getKey(),
                        number(metric.getValue().value(), 4),
                        number(metric.getValue().standardError(), 4)));
            }
            table.append(String.format(
                    Locale.ROOT, "%-24s %s", "", questions(task.questions().size())));
            if (task.truncated() > 0) {
                table.append(", ")
                        .append(task.truncated())
                        .append(" prompts longer than the context, cut from the left");
            }
            task.notes().forEach(note -> table.append(", ").append(note));
            table.append(System.lineSeparator());
        }
        return table.toString();
    }
}
