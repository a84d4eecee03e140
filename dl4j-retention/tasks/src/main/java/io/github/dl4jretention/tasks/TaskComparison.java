package io.github.dl4jretention.tasks;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.tasks.TaskResult.MarkedAnswer;
import io.github.dl4jretention.tasks.metric.Estimate;
import io.github.dl4jretention.tasks.metric.TaskStatistics;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVPrinter;

/**
 * What tuned models learned and forgot, task by task, beside the model that they were tuned from. The change of a task is
 * its metric after tuning minus before. Gain is the mean change of the tasks that are to be learned ({@code role: target}),
 * forgetting the mean of minus the change of those that are to be kept ({@code role: source}); tasks whose metric isn't a
 * share, perplexities, stand in the table and count in neither. With more than one tuned model, the share of forgetting
 * avoided is {@code 1 - forgetting / forgetting of the first}: put plain finetuning first.
 *
 * @param base   before tuning
 * @param models after tuning, in the order of the table
 */
public record TaskComparison(TaskReport base, List<TaskReport> models) {

    private static final int LONGEST_NAME = 24;

    /**
     * {@return a comparison}
     *
     * @param base   of the model before tuning
     * @param models at least one after tuning, with other names, in the same tasks
     * @throws IllegalArgumentException if two have one name, or tasks, metrics or questions differ; the message names the
     *     model and the task
     */
    public static TaskComparison of(TaskReport base, List<TaskReport> models) {
        Objects.requireNonNull(base, "base");
        if (models.isEmpty()) {
            throw new IllegalArgumentException("models: expected at least one, got none");
        }
        Set<String> known = new HashSet<>(Set.of(base.model()));
        for (TaskReport model : models) {
            if (!known.add(model.model())) {
                throw new IllegalArgumentException(
                        "models: expected a name of its own for each, got " + model.model() + " twice; use withModel");
            }
            if (!names(model).equals(names(base))) {
                throw new IllegalArgumentException(
                        model.model() + ": expected the tasks " + names(base) + ", got " + names(model));
            }
            for (TaskResult task : base.tasks()) {
                TaskResult other = model.task(task.task());
                if (!other.metric().equals(task.metric()) || !asked(other).equals(asked(task))) {
                    throw new IllegalArgumentException(model.model() + ": " + task.task()
                            + ": expected the questions and the metric that the base has, got others");
                }
            }
        }
        return new TaskComparison(base, List.copyOf(models));
    }

    private static List<String> names(TaskReport report) {
        return report.tasks().stream().map(TaskResult::task).toList();
    }

    private static List<String> asked(TaskResult task) {
        return task.questions().stream()
                .map(question -> question.id() + "\n" + question.asked() + "\n" + question.right())
                .toList();
    }

    /**
     * The change of one task.
     *
     * @param before      the metric of the base
     * @param after       of the tuned model
     * @param significance p-value of the difference, from {@code test}
     * @param test        {@code McNemar} for right or wrong answers, else {@code paired bootstrap}
     * @param lost        answers that were right and are wrong; empty where answers aren't right or wrong
     * @param won         answers that were wrong and are right
     */
    public record Change(
            double before, double after, double significance, String test, List<Flip> lost, List<Flip> won) {

        /** {@return after minus before} */
        public double difference() {
            return after - before;
        }
    }

    /**
     * An answer that changed.
     *
     * @param before the base's
     * @param after  the tuned model's
     */
    public record Flip(MarkedAnswer before, MarkedAnswer after) {}

    /**
     * {@return how a model changed in a task}
     *
     * @param model one of {@link #models()}
     * @param task  name of the task
     */
    public Change change(TaskReport model, String task) {
        TaskResult before = base.task(task);
        TaskResult after = model.task(task);
        String[] parts = Marking.parts(before.metric());
        List<Flip> pairs = new ArrayList<>();
        for (int i = 0; i < before.questions().size(); i++) {
            MarkedAnswer one = before.questions().get(i);
            MarkedAnswer other = after.questions().get(i);
            if (one.marks().containsKey(parts[0]) && other.marks().containsKey(parts[0])) {
                pairs.add(new Flip(one, other));
            }
        }
        boolean binary = parts.length == 1
                && pairs.stream()
                        .allMatch(pair -> isBinary(pair.before(), parts[0]) && isBinary(pair.after(), parts[0]));
        List<Flip> lost = new ArrayList<>();
        List<Flip> won = new ArrayList<>();
        if (binary) {
            for (Flip pair : pairs) {
                int change = Double.compare(number(pair.after(), parts[0]), number(pair.before(), parts[0]));
                (change < 0 ? lost : change > 0 ? won : new ArrayList<Flip>()).add(pair);
            }
        }
        double p = pairs.isEmpty()
                ? Double.NaN
                : binary ? TaskStatistics.mcNemar(lost.size(), won.size()) : bootstrap(pairs, before.metric(), parts);
        return new Change(
                before.estimate().value(),
                after.estimate().value(),
                p,
                binary ? "McNemar" : "paired bootstrap",
                lost,
                won);
    }

    private static double bootstrap(List<Flip> pairs, String metric, String... parts) {
        double[][] numbers = pairs.stream()
                .map(pair -> {
                    double[] row = new double[2 * parts.length];
                    for (int i = 0; i < parts.length; i++) {
                        row[i] = number(pair.before(), parts[i]);
                        row[parts.length + i] = number(pair.after(), parts[i]);
                    }
                    return row;
                })
                .toArray(double[][]::new);
        ToDoubleFunction<double[][]> statistic = Marking.statistic(metric);
        return TaskStatistics.pairedBootstrap(
                numbers,
                sample -> statistic.applyAsDouble(columns(sample, parts.length, 2 * parts.length))
                        - statistic.applyAsDouble(columns(sample, 0, parts.length)));
    }

    private static double[][] columns(double[][] rows, int from, int to) {
        return Arrays.stream(rows).map(row -> Arrays.copyOfRange(row, from, to)).toArray(double[][]::new);
    }

    private static double number(MarkedAnswer answer, String mark) {
        return Objects.requireNonNull(answer.marks().get(mark), mark);
    }

    private static boolean isBinary(MarkedAnswer answer, String mark) {
        return number(answer, mark) == 0 || number(answer, mark) == 1;
    }

    private OptionalDouble mean(TaskReport model, boolean source) {
        return base.tasks().stream()
                .filter(task -> task.source() == source && task.isShare())
                .mapToDouble(task -> model.task(task.task()).estimate().value()
                        - task.estimate().value())
                .average();
    }

    /**
     * {@return the mean change of the tasks to be learned; NaN without any}
     *
     * @param model one of {@link #models()}
     */
    public double gain(TaskReport model) {
        return mean(model, false).orElse(Double.NaN);
    }

    /**
     * {@return minus the mean change of the tasks to be kept; NaN without any}
     *
     * @param model one of {@link #models()}
     */
    public double forgetting(TaskReport model) {
        return -mean(model, true).orElse(Double.NaN);
    }

    /**
     * {@return {@code 1 - forgetting / forgetting of the first model}; NaN for the first, and where the first forgot
     * nothing}
     *
     * @param model one of {@link #models()}
     */
    public double forgettingAvoided(TaskReport model) {
        double plain = forgetting(models.get(0));
        return model.equals(models.get(0)) || !(plain > 0) ? Double.NaN : 1 - forgetting(model) / plain;
    }

    /** {@return a line a model and a column a task, with standard errors and p-values; shares in percent} */
    public String table() {
        List<List<String>> rows = new ArrayList<>();
        List<String> head = new ArrayList<>(List.of("model"));
        head.addAll(names(base));
        head.addAll(List.of("gain", "forgetting", "avoided"));
        rows.add(head);
        rows.add(row(base));
        models.forEach(model -> rows.add(row(model)));
        StringBuilder table = new StringBuilder();
        for (List<String> row : rows) {
            for (int i = 0; i < row.size(); i++) {
                int column = i;
                int width = rows.stream()
                        .mapToInt(r -> r.get(column).length())
                        .max()
                        .orElse(0);
                String cell = row.get(i);
                String pad = " ".repeat(width - cell.length());
                table.append(i == 0 ? cell + pad : "  " + pad + cell);
            }
            table.append(System.lineSeparator());
        }
        return table.toString();
    }

    /** {@return a line of the table: the name, a cell for each task, gain, forgetting and the share avoided} */
    List<String> row(TaskReport model) {
        List<String> row = new ArrayList<>();
        String name = model.model();
        row.add(name.length() > LONGEST_NAME ? name.substring(0, LONGEST_NAME) : name);
        boolean tuned = model != base;
        for (TaskResult task : model.tasks()) {
            double scale = task.isShare() ? 100 : 1;
            String cell = Double.isNaN(task.estimate().value())
                    ? "-"
                    : TaskReport.number(scale * task.estimate().value(), 1) + " +- "
                            + TaskReport.number(scale * task.estimate().standardError(), 1);
            row.add(tuned ? cell + significance(change(model, task.task()).significance()) : cell);
        }
        row.add(tuned ? percent(gain(model)) : "");
        row.add(tuned ? percent(forgetting(model)) : "");
        row.add(tuned ? percent(forgettingAvoided(model)) : "");
        return row;
    }

    private static String significance(double p) {
        return Double.isNaN(p) ? "" : p < 0.001 ? " (p < 0.001)" : String.format(Locale.ROOT, " (p %.3f)", p);
    }

    private static String percent(double share) {
        return Double.isNaN(share) ? "-" : String.format(Locale.ROOT, "%.1f", 100 * share);
    }

    /**
     * Writes {@code comparison.csv}, a line for each metric of each model and task, and {@code comparison.html}, one page
     * without other files, with the answers that changed.
     *
     * @param folder that is there
     * @throws IOException if they can't be written
     */
    public void write(Path folder) throws IOException {
        byte[] csv = csv().getBytes(StandardCharsets.UTF_8);
        AtomicFile.write(folder.resolve("comparison.csv"), out -> out.write(csv));
        byte[] html = html().getBytes(StandardCharsets.UTF_8);
        AtomicFile.write(folder.resolve("comparison.html"), out -> out.write(html));
    }

    /** {@return one page of HTML without other files} */
    public String html() {
        return new ComparisonPage(this).html();
    }

    /** {@return a line for each metric of each model and task; tests belong to the metric that stands for the task} */
    public String csv() {
        StringBuilder text = new StringBuilder();
        CSVFormat format = CSVFormat.DEFAULT
                .builder()
                .setHeader(
                        "model",
                        "task",
                        "role",
                        "metric",
                        "value",
                        "standard_error",
                        "base",
                        "change",
                        "p",
                        "test",
                        "lost",
                        "won",
                        "questions",
                        "truncated")
                .setRecordSeparator('\n')
                .build();
        try (CSVPrinter csv = new CSVPrinter(text, format)) {
            print(csv, base);
            for (TaskReport model : models) {
                print(csv, model);
            }
        } catch (IOException e) {
            throw new IllegalStateException("a text can be written to", e);
        }
        return text.toString();
    }

    private void print(CSVPrinter csv, TaskReport model) throws IOException {
        for (TaskResult task : model.tasks()) {
            for (Map.Entry<String, Estimate> metric : task.metrics().entrySet()) {
                double value = metric.getValue().value();
                double before = Objects.requireNonNull(
                                base.task(task.task()).metrics().get(metric.getKey()), metric.getKey())
                        .value();
                boolean tested = model != base && metric.getKey().equals(task.metric());
                Change change = tested ? change(model, task.task()) : null;
                csv.printRecord(
                        model.model(),
                        task.task(),
                        task.source() ? "source" : "target",
                        metric.getKey(),
                        value,
                        metric.getValue().standardError(),
                        before,
                        value - before,
                        change == null ? "" : change.significance(),
                        change == null ? "" : change.test(),
                        change == null ? "" : change.lost().size(),
                        change == null ? "" : change.won().size(),
                        task.questions().size(),
                        task.truncated());
            }
        }
    }
}
