package io.github.dl4jretention.samples.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.Tokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TextModelTest {

    /** Of Llama 2's kind: a space before each text, which its first word joins; a line's end is a byte. */
    private static final String TOKENIZER =
            """
            {"version": "1.0",
             "added_tokens": [{"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false,
              "normalized": false, "special": true}],
             "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\\u2581"},
              {"type": "Replace", "pattern": {"String": " "}, "content": "\\u2581"}]},
             "pre_tokenizer": null,
             "post_processor": null,
             "decoder": {"type": "Sequence", "decoders": [
              {"type": "Replace", "pattern": {"String": "\\u2581"}, "content": " "},
              {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
             "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
              "vocab": {"<unk>": 0, "<0x0A>": 1, "\\u2581": 2, "a": 3, "b": 4, "\\u2581a": 5, "ab": 6, "\\u2581ab": 7},
              "merges": ["\\u2581 a", "a b", "\\u2581a b"]}}""";

    /** A long text becomes tokens in pieces, of which only the first has a space before it. */
    @Test
    void a_text_in_pieces_has_the_tokens_of_the_whole(@TempDir Path folder) throws IOException {
        new RandomFolder(8, 8, 1, 2, 1, 8, 16).write(folder, false, 1);
        Files.writeString(folder.resolve("tokenizer.json"), TOKENIZER);
        Files.writeString(folder.resolve("tokenizer_config.json"), "{\"unk_token\": \"<unk>\"}");
        StringBuilder text = new StringBuilder("ab a");
        Random random = new Random(3);
        while (text.length() < 70_000) {
            text.append("ab \n".charAt(random.nextInt(4)));
        }
        TextModel model = TextModel.of(LanguageModel.load(folder));
        int[] tokens = model.tokens(text.toString().getBytes(StandardCharsets.UTF_8));
        Tokenizer tokenizer = model.tokenizer();
        assertArrayEquals(tokenizer.encode(text.toString(), false), tokens);
        assertEquals(text.toString(), tokenizer.decode(tokens));
    }
}
