package io.github.dl4jretention.tasks.file;

import java.util.Arrays;
import java.util.stream.Collectors;

/** Files of questions as they are published. */
public enum TaskFormat {

    /** MMLU's csv without a header: question, choices, letter of the right one. */
    MMLU("mmlu", TaskKind.MULTIPLE_CHOICE),

    /** ARC's jsonl: {@code question.stem}, {@code question.choices}, {@code answerKey}; or as the hub has it. */
    ARC("arc", TaskKind.MULTIPLE_CHOICE),

    /** HellaSwag's jsonl: {@code activity_label}, {@code ctx_a}, {@code ctx_b}, {@code endings}, {@code label}. */
    HELLASWAG("hellaswag", TaskKind.MULTIPLE_CHOICE),

    /**
     * TriviaQA's json: {@code Data}, an array of {@code Question} and {@code Answer}; or jsonl as the hub has it, of {@code
     * question} and {@code answer}.
     */
    TRIVIAQA("triviaqa", TaskKind.EXACT_MATCH),

    /** MATH's json, a file or a folder of them, or jsonl: {@code problem}, {@code solution} with a boxed answer. */
    MATH("math", TaskKind.EXACT_MATCH),

    /** GSM8K's jsonl: {@code question}, {@code answer} with a number after {@code ####}. */
    GSM8K("gsm8k", TaskKind.EXACT_MATCH),

    /** HumanEval's jsonl: {@code prompt}, {@code test}, {@code entry_point}. */
    HUMANEVAL("humaneval", TaskKind.CODE),

    /** AlpacaEval's json: an array of {@code instruction} and the other side's {@code output}. */
    ALPACA("alpaca", TaskKind.WIN_RATE),

    /** jsonl of your own: {@code question}, and {@code choices} with {@code answer}. */
    CHOICES("choices", TaskKind.MULTIPLE_CHOICE),

    /** jsonl of your own: {@code question} and {@code answers}. */
    ANSWERS("answers", TaskKind.EXACT_MATCH),

    /** Text files, or jsonl with {@code text}. */
    TEXT("text", TaskKind.PERPLEXITY);

    private final String label;
    private final TaskKind kind;

    TaskFormat(String label, TaskKind kind) {
        this.label = label;
        this.kind = kind;
    }

    /** {@return its name in task files} */
    public String label() {
        return label;
    }

    /** {@return what its tasks ask} */
    public TaskKind kind() {
        return kind;
    }

    static TaskFormat of(String label) {
        return Arrays.stream(values())
                .filter(format -> format.label.equals(label))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("expected one of "
                        + Arrays.stream(values()).map(TaskFormat::label).collect(Collectors.joining(", ")) + ", got "
                        + label));
    }
}
