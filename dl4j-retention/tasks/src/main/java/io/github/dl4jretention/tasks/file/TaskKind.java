package io.github.dl4jretention.tasks.file;

/** What a task asks of a model. */
public enum TaskKind {

    /** Which of some continuations is the likeliest. */
    MULTIPLE_CHOICE("multiple choice"),

    /** Whether what the model writes is a right answer. */
    EXACT_MATCH("exact match"),

    /** How likely a text is. */
    PERPLEXITY("perplexity"),

    /** Whether a program that the model writes passes its tests. */
    CODE("code"),

    /** How often a judge prefers what the model writes to another answer. */
    WIN_RATE("win rate");

    private final String label;

    TaskKind(String label) {
        this.label = label;
    }

    /** {@return its name in words} */
    public String label() {
        return label;
    }
}
