package io.github.dl4jretention.tasks.file;

import io.github.dl4jretention.tasks.metric.AnswerFilter;
import io.github.dl4jretention.tasks.metric.MathAnswers;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import org.nd4j.shade.jackson.databind.JsonNode;

/** Reads the questions of a task. */
public final class QuestionReader {

    /** As Python's dot, all but a line feed. */
    private static final Pattern BRACKETS = Pattern.compile("(?d)\\[.*?\\]");

    private final TaskFormat format;
    private final int limit;
    private final List<Question> questions = new ArrayList<>();

    private QuestionReader(TaskFormat format, int limit) {
        this.format = format;
        this.limit = limit;
    }

    /**
     * {@return the questions of a task}
     *
     * @param definition names the file
     * @throws IOException if it can't be read, has none, or one lacks a field or has an answer outside its choices; the
     *     message names the file and the line
     */
    public static List<Question> read(TaskDefinition definition) throws IOException {
        return read(definition.format(), definition.data(), definition.limit());
    }

    /**
     * {@return the questions of a file}
     *
     * @param format of the file
     * @param file   or, for formats of one question a file, a folder of them
     * @param limit  questions from the beginning, at most
     * @throws IOException as {@link #read(TaskDefinition)} does
     */
    public static List<Question> read(TaskFormat format, Path file, int limit) throws IOException {
        QuestionReader reader = new QuestionReader(format, limit);
        for (Path part : RecordFile.files(file)) {
            reader.add(part);
        }
        if (reader.questions.isEmpty()) {
            throw new IOException(file + ":1: expected at least one question, got none");
        }
        return reader.questions;
    }

    private void add(Path file) throws IOException {
        String name = String.valueOf(file.getFileName());
        if (format == TaskFormat.MMLU) {
            String subject = name.replaceFirst("\\.csv(\\.gz)?$", "")
                    .replaceFirst("_(test|dev|val)$", "")
                    .replace('_', ' ');
            RecordFile.csv(file, (place, row) -> hasRoom() && add(mmlu(place, subject, row)));
        } else if (format == TaskFormat.TEXT && name.matches(".*\\.(txt|md|text)(\\.gz)?")) {
            String text = RecordFile.text(file);
            if (hasRoom() && !text.isEmpty()) {
                add(plain(file + ":1", "", text, List.of()));
            }
        } else {
            RecordFile.json(
                    file,
                    format == TaskFormat.TRIVIAQA && !name.matches(".*\\.jsonl(\\.gz)?") ? "Data" : "",
                    (place, node) -> hasRoom() && add(question(new Fields(place, node))));
        }
    }

    private boolean hasRoom() {
        return questions.size() < limit;
    }

    private boolean add(Question question) {
        return questions.add(question);
    }

    private String number() {
        return Integer.toString(questions.size() + 1);
    }

    private Question plain(String place, String subject, String text, List<String> answers) {
        return new Question(number(), place, subject, text, List.of(), -1, answers);
    }

    private Question mmlu(String place, String subject, List<String> row) throws IOException {
        if (row.size() < 4) {
            throw new IOException(
                    place + ": expected a question, at least two choices and a letter, got " + row.size() + " columns");
        }
        List<String> choices = row.subList(1, row.size() - 1);
        String letter = row.get(row.size() - 1).strip();
        int gold = letter.length() == 1 ? letter.charAt(0) - 'A' : -1;
        requireChoice(place, "answer", choices, gold, letter);
        return new Question(
                number(), place, subject, AnswerFilter.TRIM.apply(row.get(0)), List.copyOf(choices), gold, List.of());
    }

    private static void requireChoice(String place, String name, List<String> choices, int gold, String got)
            throws IOException {
        if (gold < 0 || gold >= choices.size()) {
            throw new IOException(place + ": " + name + ": expected one of " + choices.size() + " choices, got " + got);
        }
        for (String choice : choices) {
            if (choice.isEmpty()) {
                throw new IOException(place + ": choices: expected texts, got an empty one");
            }
        }
    }

    private Question question(Fields fields) throws IOException {
        return switch (format) {
            case ARC -> arc(fields);
            case HELLASWAG -> hellaSwag(fields);
            case TRIVIAQA -> triviaQa(fields);
            case MATH -> math(fields);
            case GSM8K -> gsm8k(fields);
            case HUMANEVAL -> new Question(
                    fields.text("task_id"),
                    fields.place(),
                    "",
                    fields.text("prompt"),
                    List.of(),
                    -1,
                    List.of(fields.text("test"), fields.text("entry_point")));
            case ALPACA -> plain(fields.place(), "", fields.text("instruction"), List.of(fields.text("output")));
            case CHOICES -> choices(fields);
            case ANSWERS -> new Question(
                    fields.textOr("id", number()),
                    fields.place(),
                    fields.textOr("subject", ""),
                    fields.text("question"),
                    List.of(),
                    -1,
                    fields.texts("answers"));
            case TEXT -> plain(fields.place(), "", fields.text("text"), List.of());
            case MMLU -> throw new IllegalStateException("a csv");
        };
    }

    private Question arc(Fields fields) throws IOException {
        JsonNode question = fields.node("question");
        String stem;
        List<String> labels = new ArrayList<>();
        List<String> texts = new ArrayList<>();
        if (question.isObject()) {
            Fields inner = new Fields(fields.place(), question);
            stem = inner.text("stem");
            for (JsonNode choice : inner.node("choices")) {
                labels.add(new Fields(fields.place(), choice).text("label"));
                texts.add(new Fields(fields.place(), choice).text("text"));
            }
        } else {
            stem = fields.text("question");
            Fields choices = new Fields(fields.place(), fields.node("choices"));
            labels = choices.texts("label");
            texts = choices.texts("text");
        }
        String key = fields.text("answerKey");
        requireChoice(fields.place(), "answerKey", texts, labels.indexOf(key), key);
        return new Question(
                fields.textOr("id", number()), fields.place(), "", stem, texts, labels.indexOf(key), List.of());
    }

    /** Texts are cleaned as hellaswag 1.0 of the harness cleans them. */
    private Question hellaSwag(Fields fields) throws IOException {
        String more = fields.text("ctx_b").toLowerCase(Locale.ROOT);
        int first = more.isEmpty() ? 0 : more.offsetByCodePoints(0, 1);
        String context =
                fields.text("ctx_a") + " " + more.substring(0, first).toUpperCase(Locale.ROOT) + more.substring(first);
        List<String> endings =
                fields.texts("endings").stream().map(QuestionReader::cleaned).toList();
        int gold = fields.number("label");
        requireChoice(fields.place(), "label", endings, gold, Integer.toString(gold));
        return new Question(
                fields.textOr("ind", number()),
                fields.place(),
                "",
                cleaned(fields.text("activity_label") + ": " + context),
                endings,
                gold,
                List.of());
    }

    private static String cleaned(String text) {
        return BRACKETS.matcher(AnswerFilter.TRIM.apply(text).replace(" [title]", ". "))
                .replaceAll("")
                .replace("  ", " ");
    }

    /** As it's published, or as the hub has it, with names in lower case. */
    private Question triviaQa(Fields fields) throws IOException {
        boolean hub = fields.has("answer");
        Fields answer = new Fields(fields.place(), fields.node(hub ? "answer" : "Answer"));
        String names = hub ? "aliases" : "Aliases";
        boolean any = answer.has(names) && !answer.node(names).isEmpty();
        return new Question(
                fields.textOr(hub ? "question_id" : "QuestionId", number()),
                fields.place(),
                "",
                fields.text(hub ? "question" : "Question"),
                List.of(),
                -1,
                any ? answer.texts(names) : List.of(answer.text(hub ? "value" : "Value")));
    }

    private Question math(Fields fields) throws IOException {
        String answer = MathAnswers.lastBoxed(fields.text("solution"));
        if (answer == null) {
            throw new IOException(fields.place() + ": solution: expected an answer in \\boxed{...}, got none");
        }
        return new Question(
                fields.textOr("unique_id", number()),
                fields.place(),
                fields.textOr(fields.has("type") ? "type" : "subject", ""),
                fields.text("problem"),
                List.of(),
                -1,
                List.of(answer));
    }

    private Question gsm8k(Fields fields) throws IOException {
        String answer = fields.text("answer");
        if (!answer.contains("#### ")) {
            throw new IOException(fields.place() + ": answer: expected a number after \"#### \", got none");
        }
        return plain(fields.place(), "", fields.text("question"), List.of(answer));
    }

    /** The answer is a choice's number from 0, or its text. */
    private Question choices(Fields fields) throws IOException {
        List<String> choices = fields.texts("choices");
        JsonNode answer = fields.node("answer");
        int gold = answer.isIntegralNumber() && answer.canConvertToInt()
                ? answer.asInt()
                : choices.indexOf(answer.asText());
        requireChoice(fields.place(), "answer", choices, gold, answer.toString());
        return new Question(
                fields.textOr("id", number()),
                fields.place(),
                fields.textOr("subject", ""),
                fields.text("question"),
                choices,
                gold,
                List.of());
    }

    /** The fields of one question, which say where they lack something. */
    private record Fields(String place, JsonNode node) {

        boolean has(String name) {
            return node.hasNonNull(name);
        }

        JsonNode node(String name) throws IOException {
            if (!has(name)) {
                throw new IOException(place + ": " + name + ": expected a value, got none");
            }
            return node.get(name);
        }

        String text(String name) throws IOException {
            JsonNode value = node(name);
            if (!value.isValueNode()) {
                throw new IOException(place + ": " + name + ": expected a text, got " + value);
            }
            return value.asText();
        }

        String textOr(String name, String otherwise) throws IOException {
            return has(name) ? text(name) : otherwise;
        }

        List<String> texts(String name) throws IOException {
            JsonNode value = node(name);
            if (!value.isArray() || value.isEmpty()) {
                throw new IOException(place + ": " + name + ": expected an array of texts, got " + value);
            }
            String[] texts = new String[value.size()];
            for (int i = 0; i < texts.length; i++) {
                if (!value.get(i).isValueNode() || value.get(i).isNull()) {
                    throw new IOException(place + ": " + name + ": expected an array of texts, got " + value);
                }
                texts[i] = value.get(i).asText();
            }
            return Arrays.asList(texts);
        }

        int number(String name) throws IOException {
            String value = text(name);
            try {
                return Integer.parseInt(value);
            } catch (NumberFormatException e) {
                throw new IOException(place + ": " + name + ": expected a whole number, got " + value, e);
            }
        }
    }
}
