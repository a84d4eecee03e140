package io.github.dl4jretention.lm;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import io.github.dl4jretention.lm.huggingface.TokenizerFiles;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.Map;

/** The native tokenizer; in a class of its own, so that byte-level models need neither it nor its library. */
final class NativeTokens {

    /** DJL would report each start to its makers, and look for other native libraries in the network. */
    private static final Map<String, String> QUIET = Map.of("OPT_OUT_TRACKING", "true", "ai.djl.offline", "true");

    private final HuggingFaceTokenizer tokenizer;

    NativeTokens(TokenizerFiles files) throws IOException {
        QUIET.forEach((name, value) -> {
            if (System.getProperty(name) == null) {
                System.setProperty(name, value);
            }
        });
        try {
            tokenizer = HuggingFaceTokenizer.newInstance(
                    new ByteArrayInputStream(files.json()), Map.of("truncation", "false", "padding", "false"));
        } catch (RuntimeException e) {
            throw new IOException(
                    "tokenizer.json: expected a tokenizer, got one that can't be read: "
                            + String.valueOf(e.getMessage()).lines().findFirst().orElse("no reason"),
                    e);
        }
    }

    /** DJL's own encode also makes each token's text, place and six other numbers, which take longer than the encoding. */
    int[] encode(String text, boolean withSpecial) {
        long encoding = TokenizersLibrary.LIB.encode(tokenizer.getHandle(), text, withSpecial);
        try {
            return Arrays.stream(TokenizersLibrary.LIB.getTokenIds(encoding))
                    .mapToInt(Math::toIntExact)
                    .toArray();
        } finally {
            TokenizersLibrary.LIB.deleteEncoding(encoding);
        }
    }

    String decode(int[] ids) {
        return tokenizer.decode(Arrays.stream(ids).asLongStream().toArray(), true);
    }

    void close() {
        tokenizer.close();
    }
}
