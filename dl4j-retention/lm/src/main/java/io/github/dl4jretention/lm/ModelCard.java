package io.github.dl4jretention.lm;

import java.util.Objects;

/**
 * What a tuned model's README.md says about its training, beside what the student itself knows (loss, coefficient).
 *
 * @param data       what it was trained on, in words
 * @param gain       how much the loss on the target text went down, nats per token; NaN if it wasn't measured
 * @param forgetting how much the loss on the source text went up, nats per token; NaN if it wasn't measured
 */
public record ModelCard(String data, double gain, double forgetting) {

    /** A card of a model that nothing is known about. */
    static final ModelCard UNKNOWN = new ModelCard("not recorded", Double.NaN, Double.NaN);

    /**
     * Checks the text.
     *
     * @param data       not null
     * @param gain       nats per token or NaN
     * @param forgetting nats per token or NaN
     */
    public ModelCard {
        Objects.requireNonNull(data, "data");
    }

    /**
     * {@return the card as Markdown, as the Hugging Face hub reads it}
     *
     * @param base        the model before training
     * @param loss        what was minimised
     * @param coefficient of the divergence; NaN if it isn't known
     */
    String markdown(String base, String loss, double coefficient) {
        return "---\nbase_model: " + quoted(base) + "\nlibrary_name: transformers\ntags:\n- dl4j-retention\n---\n\n# "
                + line(base) + ", finetuned\n\nFinetuned with dl4j-retention, which keeps a model close to what it"
                + " was while it learns.\n\n| | |\n|---|---|\n| base | " + cell(base) + " |\n| data | "
                + cell(data) + " |\n| loss | " + cell(loss) + " |\n| coefficient | " + number(coefficient)
                + " |\n| gain | " + measured(gain) + " |\n| forgetting | " + measured(forgetting) + " |\n\n"
                + "Gain is how much the loss on held-out text of the new domain went down, forgetting how much the loss on"
                + " held-out text of the old one went up. What the base's licence asks for holds for this model too.\n";
    }

    private static String measured(double value) {
        return Double.isNaN(value) ? "not measured" : number(value) + " nats per token";
    }

    private static String number(double value) {
        return Double.isNaN(value) ? "not recorded" : String.valueOf(Math.rint(value * 1e6) / 1e6);
    }

    private static String line(String text) {
        return text.replaceAll("\\s+", " ").strip();
    }

    private static String cell(String text) {
        return line(text).replace("|", "\\|");
    }

    private static String quoted(String text) {
        return '"' + line(text).replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
