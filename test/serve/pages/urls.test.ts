import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fileUrl, modelPageUrl, modelUrl, versionUrl } from '../../../src/serve/pages/urls.js';
import { idOf } from './samples.js';

describe('paths of pages and files', () => {
  test('are those of the Hub', () => {
    expect(modelUrl('acme/chat')).toBe('/acme/chat');
    expect(modelPageUrl('acme/chat', 1)).toBe('/acme/chat');
    expect(modelPageUrl('acme/chat', 2)).toBe('/acme/chat?page=2');
    expect(versionUrl('chat', idOf('a'))).toBe(`/chat/tree/${idOf('a')}`);
    expect(fileUrl('acme/chat', 'main', 'onnx/model.onnx')).toBe('/acme/chat/resolve/main/onnx/model.onnx');
  });

  test('are encoded by segment', () => {
    expect(fileUrl('a/b', 'main', 'x y/ä?#%.txt')).toBe('/a/b/resolve/main/x%20y/%C3%A4%3F%23%25.txt');
    expect(modelUrl('javascript:alert(1)')).toBe('/javascript%3Aalert(1)');
    expect(modelUrl('lone \ud800')).toBe('/lone%20%EF%BF%BD');
  });

  test('do not lead to another host or another path', () => {
    for (const name of ['', '/evil.example', 'a//b', '../x', 'a/..', '.', 'a/./b', 'a/']) {
      expect(modelUrl(name)).toBeUndefined();
      expect(fileUrl('chat', 'main', name)).toBeUndefined();
    }
  });

  test('of any name, a browser asks this server for exactly that name', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 4 }), (segments) => {
        const url = modelUrl(segments.join('/'));
        if (url === undefined) return;
        const asked = new URL(url, 'http://here.example:8080');
        expect(asked.origin).toBe('http://here.example:8080');
        expect(asked.search + asked.hash).toBe('');
        expect(decodeURIComponent(asked.pathname.slice(1))).toBe(segments.join('/'));
      }),
    );
  });
});
