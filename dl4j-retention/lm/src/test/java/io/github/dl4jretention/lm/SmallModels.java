package io.github.dl4jretention.lm;

import io.github.dl4jretention.lm.huggingface.ReferenceModels;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The reference models with a tokenizer of their 19 tokens: the letters a to h and a few more, ab and " ab" merged. */
final class SmallModels {

    private SmallModels() {}

    static Path tokenizerFolder() {
        try {
            return Path.of(SmallModels.class
                            .getResource("/tokenizers/tokenizer.json")
                            .toURI())
                    .getParent();
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** {@return a copy of a reference model's folder with the tokenizer} */
    static Path folder(String model, Path to) throws IOException {
        ReferenceModels.copy(model, to);
        for (String file : new String[] {"tokenizer.json", "tokenizer_config.json"}) {
            Files.copy(tokenizerFolder().resolve(file), to.resolve(file));
        }
        return to;
    }
}
