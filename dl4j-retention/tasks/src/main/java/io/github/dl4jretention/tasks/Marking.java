package io.github.dl4jretention.tasks;

import io.github.dl4jretention.tasks.TaskResult.MarkedAnswer;
import io.github.dl4jretention.tasks.file.Question;
import io.github.dl4jretention.tasks.file.TaskDefinition;
import io.github.dl4jretention.tasks.file.TaskDefinition.Scoring;
import io.github.dl4jretention.tasks.file.TaskKind;
import io.github.dl4jretention.tasks.metric.AnswerFilter;
import io.github.dl4jretention.tasks.metric.Estimate;
import io.github.dl4jretention.tasks.metric.TaskStatistics;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.ToDoubleFunction;
import java.util.function.ToIntFunction;
import java.util.regex.Pattern;

/**
 * Marks answers. Rules are those of lm-evaluation-harness 0.4.13 but where a metric says otherwise; docs/tasks.md lists
 * them.
 */
final class Marking {

    /** What a perplexity is made of. */
    static final String LOG_PROBABILITY = "log_probability";

    /** The difference of two lengths, in characters. */
    static final String LENGTH = "length_difference";

    private static final List<String> UNITS = List.of("word", "byte", "token");

    /** What a choice's log-probability is divided by, by its metric. */
    private static final Map<String, ToIntFunction<String>> CHOICE_UNITS = new LinkedHashMap<>();

    static {
        CHOICE_UNITS.put("acc", choice -> 1);
        CHOICE_UNITS.put("acc_norm", choice -> choice.codePointCount(0, choice.length()));
        CHOICE_UNITS.put("acc_bytes", Marking::bytes);
    }

    /** As Python splits. */
    private static final Pattern SPACES = Pattern.compile("(?U)[\\s\\x1c-\\x1f]+");

    private final TaskDefinition task;
    private final Scoring scoring;
    private final List<String> notes = new ArrayList<>();

    Marking(TaskDefinition task) {
        this.task = task;
        scoring = task.scoring();
    }

    TaskResult result(List<Question> questions, Map<Integer, Answer> answers, Prompts prompts) throws IOException {
        Judgements judgements = task.kind() == TaskKind.WIN_RATE ? Judgements.read(scoring.judgements()) : null;
        List<MarkedAnswer> marked = new ArrayList<>();
        int truncated = 0;
        for (int i = 0; i < questions.size(); i++) {
            Question question = questions.get(i);
            Answer answer = Objects.requireNonNull(answers.get(i));
            truncated += answer.truncated() ? 1 : 0;
            Map<String, Double> marks =
                    switch (task.kind()) {
                        case MULTIPLE_CHOICE -> choice(question, answer, prompts);
                        case EXACT_MATCH -> match(question, answer);
                        case PERPLEXITY -> text(question, answer);
                        case CODE -> code(answer);
                        case WIN_RATE -> Objects.requireNonNull(judgements).marks(question, answer);
                    };
            marked.add(new MarkedAnswer(
                    question.id(),
                    question.place(),
                    task.kind() == TaskKind.PERPLEXITY ? "" : prompts.asked(question),
                    task.kind() == TaskKind.CODE ? "" : question.answer(),
                    written(question, answer, prompts),
                    marks));
        }
        if (judgements != null) {
            long judged =
                    marked.stream().filter(answer -> !answer.marks().isEmpty()).count();
            notes.add("judged: " + judged + " of " + marked.size());
        }
        return new TaskResult(
                task.name(),
                task.kind().label(),
                task.source(),
                scoring.metric(),
                metrics(marked),
                truncated,
                List.copyOf(notes),
                marked);
    }

    void note(String note) {
        notes.add(note);
    }

    /** The answer that the task's metric marks. */
    private String written(Question question, Answer answer, Prompts prompts) {
        if (question.gold() >= 0) {
            ToIntFunction<String> unit = Objects.requireNonNull(CHOICE_UNITS.get(scoring.metric()));
            return question.choices().get(largest(answer.values(), shown(question, prompts), unit));
        }
        return answer.texts().isEmpty() ? "" : answer.texts().get(0);
    }

    private static List<String> shown(Question question, Prompts prompts) {
        List<String> shown = new ArrayList<>();
        for (int i = 0; i < question.choices().size(); i++) {
            shown.add(prompts.shown(question, i));
        }
        return shown;
    }

    /** {@return the place of the largest, by the unit that values are divided by; of several the first} */
    private static int largest(List<Double> values, List<String> choices, ToIntFunction<String> unit) {
        int best = 0;
        double most = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < values.size(); i++) {
            double value = values.get(i) / unit.applyAsInt(choices.get(i));
            if (value > most) {
                most = value;
                best = i;
            }
        }
        return best;
    }

    private static int bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8).length;
    }

    private static double mark(boolean right) {
        return right ? 1 : 0;
    }

    private static Map<String, Double> choice(Question question, Answer answer, Prompts prompts) {
        List<String> shown = shown(question, prompts);
        Map<String, Double> marks = new LinkedHashMap<>();
        CHOICE_UNITS.forEach(
                (metric, unit) -> marks.put(metric, mark(largest(answer.values(), shown, unit) == question.gold())));
        return marks;
    }

    private Map<String, Double> match(Question question, Answer answer) {
        Map<String, Double> marks = new LinkedHashMap<>();
        for (AnswerFilter filter : scoring.filters()) {
            String found = filter.apply(answer.texts().get(0));
            boolean right = question.answers().stream()
                    .anyMatch(reference -> scoring.match().matches(found, reference));
            marks.put("exact_match/" + filter.label(), mark(right));
        }
        return marks;
    }

    private static Map<String, Double> text(Question question, Answer answer) {
        Map<String, Double> marks = new LinkedHashMap<>();
        marks.put(LOG_PROBABILITY, answer.values().get(0));
        marks.put("word", (double) SPACES.split(question.text(), -1).length);
        marks.put("byte", (double) bytes(question.text()));
        marks.put("token", (double) answer.tokens());
        return marks;
    }

    private Map<String, Double> code(Answer answer) {
        int passed = (int) answer.values().stream().filter(value -> value == 1).count();
        Map<String, Double> marks = new LinkedHashMap<>();
        for (int k : scoring.tries()) {
            marks.put("pass@" + k, TaskStatistics.passAtK(answer.values().size(), passed, k));
        }
        return marks;
    }

    private Map<String, Estimate> metrics(List<MarkedAnswer> marked) {
        Map<String, Estimate> metrics = new LinkedHashMap<>();
        switch (task.kind()) {
            case PERPLEXITY -> {
                for (String unit : UNITS) {
                    double[][] parts = numbers(marked, LOG_PROBABILITY, unit);
                    metrics.put(unit + "_perplexity", TaskStatistics.bootstrap(parts, Marking::perplexity));
                }
                double[][] parts = numbers(marked, LOG_PROBABILITY, "byte");
                metrics.put(
                        "bits_per_byte",
                        TaskStatistics.bootstrap(parts, all -> Math.log(perplexity(all)) / Math.log(2)));
            }
            case WIN_RATE -> {
                double[][] parts = numbers(marked, "win_rate", LENGTH);
                boolean none = parts.length == 0;
                Estimate unknown = new Estimate(Double.NaN, Double.NaN);
                metrics.put("win_rate", none ? unknown : TaskStatistics.mean(column(parts, 0)));
                metrics.put(
                        "length_controlled_win_rate",
                        none ? unknown : TaskStatistics.bootstrap(parts, Marking::lengthControlled));
                metrics.put(LENGTH, none ? unknown : TaskStatistics.mean(column(parts, 1)));
            }
            case MULTIPLE_CHOICE, EXACT_MATCH, CODE -> {
                for (String metric : marked.get(0).marks().keySet()) {
                    metrics.put(metric, TaskStatistics.mean(column(numbers(marked, metric), 0)));
                }
            }
        }
        return metrics;
    }

    /** {@return the metric of some questions, by the numbers that {@link #parts} gives} */
    static ToDoubleFunction<double[][]> statistic(String metric) {
        return switch (metric) {
            case "length_controlled_win_rate" -> Marking::lengthControlled;
            default -> metric.endsWith("_perplexity")
                    ? Marking::perplexity
                    : all -> TaskStatistics.mean(column(all, 0)).value();
        };
    }

    /** {@return names of the marks that a metric is made of} */
    static String[] parts(String metric) {
        return switch (metric) {
            case "length_controlled_win_rate" -> new String[] {"win_rate", LENGTH};
            default -> metric.endsWith("_perplexity")
                    ? new String[] {LOG_PROBABILITY, metric.replace("_perplexity", "")}
                    : new String[] {metric};
        };
    }

    /** Of questions that have these marks. */
    private static double[][] numbers(List<MarkedAnswer> marked, String... names) {
        return marked.stream()
                .filter(answer -> answer.marks().containsKey(names[0]))
                .map(answer -> {
                    double[] row = new double[names.length];
                    for (int i = 0; i < row.length; i++) {
                        row[i] = Objects.requireNonNull(answer.marks().get(names[i]));
                    }
                    return row;
                })
                .toArray(double[][]::new);
    }

    private static double[] column(double[][] rows, int column) {
        double[] values = new double[rows.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = rows[i][column];
        }
        return values;
    }

    private static double perplexity(double[][] parts) {
        double sum = 0;
        double count = 0;
        for (double[] part : parts) {
            sum += part[0];
            count += part[1];
        }
        return Math.exp(-sum / count);
    }

    private static double lengthControlled(double[][] parts) {
        return TaskStatistics.lengthControlled(column(parts, 0), column(parts, 1));
    }
}
